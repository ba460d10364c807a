import { resolve } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { installPlugin, pluginStanza } from '../../kms/install.ts';
import { defineCommand } from '../command.ts';
import { plainWord } from './opening.ts';

/** `quorate hsm plugin install`: quorate-kms into a server's plugin folder, and the lines that the server needs. */
export const command = defineCommand({
  arguments: [{ name: 'ACTION', description: 'install' }],
  options: {
    dir: { value: 'DIR', description: "the server's plugin_directory: a folder that only root can write" },
    node: { value: 'FILE', description: 'the Node that runs it (default: the one that runs quorate)' },
    name: { value: 'NAME', description: 'the name of the file (default: quorate-kms)' },
    replace: { description: 'although another version is there, which a running server may start again' },
  },
  examples: [
    { command: 'quorate hsm plugin install --dir /etc/openbao/plugins', text: 'and print the plugin stanza' },
    {
      command: 'quorate hsm plugin install --dir /etc/openbao/plugins --name quorate-kms-2 --node /usr/bin/node',
      text: 'beside the one that a server runs, on another Node',
    },
  ],
  async run(context, values, [action]) {
    if (action !== 'install') {
      throw new QuorateError('usage', 'what is to be done with the plugin? There is: quorate hsm plugin install');
    }
    if (values.dir === undefined) {
      throw new QuorateError('usage', 'where is it to go? Give --dir DIR', {
        hint: "It is the folder that the server's configuration names as plugin_directory.",
      });
    }
    const installed = await installPlugin({
      folder: resolve(context.cwd, plainWord('--dir', values.dir)),
      node: resolve(context.cwd, values.node ?? process.execPath),
      replace: values.replace ?? false,
      ...(values.name === undefined ? {} : { name: values.name }),
    });
    const stanza = pluginStanza(installed);
    const { output } = context;
    output.say(
      `${output.paint.good('ok')}    ${installed.path} ${installed.unchanged ? 'was there already' : 'is in place'}`,
    );
    output.say(`      It runs on ${installed.node}, and on nothing else.`);
    output.say('      These lines go into the server\'s configuration, with a seal "quorate-kms" stanza:');
    output.result({ ...installed, stanza: stanza.join('\n') }, () => stanza);
    return undefined;
  },
});
