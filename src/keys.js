// The entry of `npm run keys`.
import { register } from 'tsx/esm/api';

register({ tsconfig: false });
const { runKeysCommand } = await import('./auth/keys-command.ts');
process.exitCode = await runKeysCommand(process.argv.slice(2), process.env, (output) => {
  process.stdout.write(output.stdout);
  process.stderr.write(output.stderr);
});
