import type { Logger } from '../log.ts';

/** The server reads these keys of langgraph.json. */
const READ = ['graphs', 'env', 'auth'];

/** Editors and the build of a container image read these keys; no running server does. */
const FOR_BUILDS = [
  '$schema',
  '_INTERNAL_docker_tag',
  'api_version',
  'base_image',
  'dependencies',
  'docker_compose_file',
  'dockerfile_lines',
  'image_distro',
  'keep_pkg_tools',
  'node_version',
  'pip_config_file',
  'pip_installer',
  'python_version',
];

/** Warns of each key of langgraph.json without effect on this server. */
export function checkUnusedKeys(
  settings: Record<string, unknown>,
  { file, log }: { file: string; log: Pick<Logger, 'warn'> },
): void {
  for (const [key, value] of Object.entries(settings)) {
    if (value === null || READ.includes(key) || FOR_BUILDS.includes(key)) continue;
    log.warn({ file, key }, `"${key}" in langgraph.json has no effect on this server`);
  }
}
