import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isImageName } from './names.js'

/** Whether a path is a file with the extension, or a folder of such files without images or folders beside them. */
export async function isShardFolder(path: string, isFolder: boolean, extension: string): Promise<boolean> {
  if (!isFolder) return path.toLowerCase().endsWith(extension)
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  const visible = entries.filter((entry) => !entry.name.startsWith('.'))
  if (visible.some((entry) => entry.isDirectory() || isImageName(entry.name))) return false
  return visible.some((entry) => entry.name.toLowerCase().endsWith(extension))
}

/** The shard files of a path, in byte order. */
export async function shardsOf(path: string, extension: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const names = await readdir(path)
  return names
    .filter((name) => !name.startsWith('.') && name.toLowerCase().endsWith(extension))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map((name) => join(path, name))
}
