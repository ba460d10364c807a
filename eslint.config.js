import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration',
  message: 'A name that is the same everywhere can be searched for: export it by name.',
};
const noBarrel = {
  selector: 'ExportAllDeclaration',
  message: 'Import from the file that defines it.',
};
const noReExport = {
  selector: 'ExportNamedDeclaration[source]',
  message: 'Import from the file that defines it.',
};
const noTopLevelAwait = {
  selector: ':matches(Program > ExpressionStatement, Program > VariableDeclaration) AwaitExpression:not(:function *)',
  message: 'The bundle is CommonJS, which has no top-level await.',
};

export default defineConfig(
  { ignores: ['dist/', '.setup/', 'node_modules/', 'bin/toolchain/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-misused-spread': 'off', // shares and digests are ASCII
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      'eqeqeq': ['error', 'always', { null: 'ignore' }],
      'no-restricted-syntax': ['error', noDefaultExport, noBarrel, noReExport, noTopLevelAwait],
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },
  {
    // What people see goes through the ui, and one boundary sets the exit status.
    files: ['src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'exit', message: 'Throw a QuorateError; src/cli.ts sets the exit status.' },
      ],
    },
  },
  { files: ['src/ui/**/*.ts', 'src/cli.ts'], rules: { 'no-console': 'off' } },
  { files: ['src/cli.ts', 'src/main.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-restricted-syntax': ['error', noDefaultExport, noBarrel],
    },
  },
  {
    // Tools load their config by its default export; scripts that Node runs as they stand may await.
    files: ['*.config.ts', 'bin/*.ts', 'test/bench/run.ts', 'test/count.ts'],
    rules: { 'no-restricted-syntax': ['error', noBarrel, noReExport] },
  },
);
