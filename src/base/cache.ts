import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/**
 * The cache folder: `explicit` (the `--cache` option), else FC7_CACHE, else XDG_CACHE_HOME/fc7, else the platform's own
 * (`~/.cache/fc7`, `~/Library/Caches/fc7`, `%LOCALAPPDATA%\fc7`). It is not created here.
 *
 * @example cacheFolder() // '/home/ada/.cache/fc7'
 */
export function cacheFolder(
  explicit?: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  platform: string = process.platform,
): string {
  if (explicit) return resolve(explicit)
  if (env.FC7_CACHE) return resolve(env.FC7_CACHE)
  if (env.XDG_CACHE_HOME) return join(resolve(env.XDG_CACHE_HOME), 'fc7')
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'fc7')
  if (platform === 'win32') return join(env.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'fc7')
  return join(homedir(), '.cache', 'fc7')
}
