import { mkdtemp, realpath } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { EXIT, QuorateError } from '../errors.ts';
import { readText } from '../files.ts';
import type { Context } from '../context.ts';
import type { Rehearsal } from '../rehearsal/rehearse.ts';
import type { MadeUpSeal } from '../rehearsal/seal.ts';
import { ceremonyTools, quorateBuild } from './ceremony-setting.ts';
import { defineCommand } from './command.ts';

/** `quorate rehearse`: a script against a throwaway real cluster on this machine. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', optional: true, description: 'an init script; the shipped one when left out' }],
  options: {
    keep: { description: 'leave the cluster running, for practice' },
    stop: { value: 'DIR', description: 'end a cluster that was kept, and delete its folder' },
    interactive: { description: 'play the custodians yourself' },
    seal: {
      value: 'SEAL',
      choices: ['shamir', 'pkcs11', '2-of-3'],
      description: 'what opens the servers: shares (default), or SoftHSM tokens made for this, one or any two of three',
    },
    directory: {
      value: 'DIR',
      description: 'where everything goes; must be new or empty (default: a new temporary folder)',
    },
  },
  examples: [
    {
      command: 'quorate rehearse',
      text: 'init, restart, unseal, sign and verify, with made-up custodians; about half a minute',
    },
    {
      command: 'quorate rehearse ceremonies/init.yaml',
      text: 'the script that you are going to run, with made-up keys',
    },
    { command: 'quorate rehearse --interactive --keep', text: 'play it, and practise on the cluster that stays' },
    { command: 'quorate rehearse --seal 2-of-3', text: 'with three made-up HSMs, one of which breaks; needs SoftHSM' },
    { command: 'quorate rehearse --stop /tmp/quorate-x1y2', text: 'end the kept cluster' },
  ],
  async run(context, values, args) {
    const { output, signal, cwd } = context;
    const programs = await context.programs();
    if (values.stop !== undefined) {
      const { stopKept } = await import('../rehearsal/kept.ts');
      const { stopped } = await stopKept(resolve(cwd, values.stop), programs.run);
      output.result({ stopped }, () => [
        `ended ${stopped.join(', ') || 'nothing: no peer was running'}; the folder is deleted`,
      ]);
      return EXIT.done;
    }
    if (values.interactive === true && !context.prompts.interactive) {
      throw new QuorateError('terminal-needed', '--interactive needs a terminal');
    }
    const [{ rehearse }, { readTemplate }] = await Promise.all([
      import('../rehearsal/rehearse.ts'),

      import('../templates.ts'),
    ]);
    const [file] = args;
    const script = file === undefined ? await readTemplate('init') : { text: await readText(resolve(cwd, file)), file };
    const binary = await programs.findServer('openbao');
    const directory =
      values.directory === undefined
        ? await realpath(await mkdtemp(join(tmpdir(), 'quorate-rehearsal-')))
        : resolve(cwd, values.directory);
    const { createRoom } = await import('./room.ts');
    const started = Date.now();
    const rehearsal = await rehearse({
      directory,
      script,
      binary,
      programs,
      tools: await ceremonyTools(context),
      policy: await context.policy(),
      connect: (configFile) => context.peersOf(configFile, 'rehearsal'),
      login: (peer, { roleId, secretIdFile }) =>
        context.login(
          peer,
          { 'method': 'approle', 'mount': 'approle', 'role-id': roleId, 'secret-id-file': secretIdFile },
          // It ends with the cluster, which is gone when the command ends.
          { lasting: true },
        ),
      quorate: await quorateBuild(),
      say: (line) => {
        output.say(line);
      },
      progress: (title, work) => output.progress(title, work),
      signal,
      keep: values.keep === true,
      ...(values.seal === undefined || values.seal === 'shamir' ? {} : { makeSeal: sealMaker(context, values.seal) }),
      ...(values.interactive === true ? { play: (homes) => createRoom(context, programs, { homes }) } : {}),
    });
    output.result(toJson(rehearsal), () => lines(rehearsal, Date.now() - started));
    return rehearsal.verified ? EXIT.done : EXIT.unverified;
  },
});

function sealMaker(context: Context, kind: string): (folder: string) => Promise<MadeUpSeal> {
  return async (folder) => {
    const [{ makeSeal }, { installPlugin, pluginStanza }, { librariesHere }] = await Promise.all([
      import('../rehearsal/seal.ts'),
      import('../kms/install.ts'),
      import('../hsm/places.ts'),
    ]);
    const softHsm = librariesHere(existsSync).find(({ vendor }) => vendor === 'SoftHSM');
    if (softHsm === undefined) {
      throw new QuorateError('program-missing', 'a rehearsal with an HSM needs SoftHSM, and its library is not here', {
        hint: 'Install softhsm2 (Debian, Ubuntu) or softhsm (Fedora).',
      });
    }
    return makeSeal(kind === 'pkcs11' ? 'pkcs11' : '2-of-3', folder, {
      pkcs11: await context.pkcs11(),
      module: softHsm.path,
      install: async (plugins) => pluginStanza(await installPlugin({ folder: plugins, node: process.execPath })),
    });
  };
}

function toJson({ kept, unsealRecord, ...rehearsal }: Rehearsal): Record<string, unknown> {
  return { ...rehearsal, ...(unsealRecord === undefined ? {} : { unsealRecord }), kept };
}

function lines(rehearsal: Rehearsal, milliseconds: number): string[] {
  const { directory, record, unsealRecord, report, verified, kept, shares, threshold } = rehearsal;
  const opened =
    unsealRecord === undefined
      ? `three peers opened by their HSMs, and ${shares.toString()} custodians hold recovery shares`
      : `${threshold.toString()} of ${shares.toString()} custodians opened three peers`;
  return [
    '',
    `REHEARSAL complete in ${Math.round(milliseconds / 1000).toString()} s: ${opened}`,
    '',
    `  record     ${record}`,
    `  report     ${report}   (open it in a browser)`,
    ...(unsealRecord === undefined ? [] : [`  unseal     ${unsealRecord}`]),
    `  roster     ${rehearsal.roster}`,
    `  verified   ${verified ? 'yes: chain, outputs, and the signatures of everybody' : 'NO'}`,
    '',
    `  look at it      less ${join(record, 'record.jsonl')}`,
    `  check it again  quorate ceremony verify ${record} \\`,
    `                    --allowed-signers ${join(directory, 'allowed_signers')}`,
    ...(kept ? practiceLines(rehearsal) : ['', '  The cluster is gone. Delete the folder when you are done with it.']),
  ];
}

/** How people go on with a cluster that runs on. */
function practiceLines({ directory, custodians }: Rehearsal): string[] {
  const [first] = custodians;
  const inside = (path: string): string => `'${relative(directory, path)}'`;
  return [
    '',
    `  the cluster runs on: cd ${directory} && quorate status`,
    ...(first === undefined
      ? []
      : [
          `  a custodian's share: quorate custodian decrypt ${inside(first.shareFile)} \\`,
          `                         --gnupg-home ${inside(first.gnupgHome)} --output 1.share`,
        ]),
    '  practise:            quorate drill --share-file 1.share',
    `  end it with:         quorate rehearse --stop ${directory}`,
  ];
}
