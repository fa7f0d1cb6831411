import { realpath, stat } from 'node:fs/promises'
import { isAbsolute, relative, resolve, sep } from 'node:path'
import { messageOf, systemCode } from '../../base/errors.js'
import type { ItemLoad } from '../contract.js'

/** Whether `path` is `root` or lies below it; both must be real paths. */
export function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way === '' || !(way === '..' || way.startsWith('../') || way.startsWith('..\\') || isAbsolute(way))
}

/** A listed file: how it is called relative to the list, and how to read it. */
export interface FoundFile {
  readonly path: string
  readonly size: number
  readonly load: ItemLoad
}

/** Finds a listed file and checks that it stays inside the list's folder, links followed. */
export async function findFile(
  written: string,
  root: string,
  realRoot: string,
  allowOutside: boolean,
): Promise<FoundFile> {
  const absolute = resolve(root, written)
  const inside = isInside(root, absolute)
  const path = (inside && !isAbsolute(written) ? relative(root, absolute) : written).split(sep).join('/')
  const broken = (code: string, message: string): FoundFile => ({
    path,
    size: 0,
    load: { kind: 'broken', code, message },
  })
  const refuse = (): FoundFile =>
    broken('OUTSIDE_ROOT', 'it is outside the data set’s folder (--allow-outside permits it)')
  if (!allowOutside && !inside) return refuse()
  try {
    const found = await stat(absolute)
    if (!allowOutside && !isInside(realRoot, await realpath(absolute))) return refuse()
    if (found.isDirectory()) return broken('IS_FOLDER', 'it is a folder, not an image')
    if (!found.isFile()) return broken('NOT_A_FILE', 'it is no regular file')
    return { path, size: found.size, load: { kind: 'file', path: absolute } }
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return broken('MISSING', 'there is no such file')
    if (code === 'ELOOP') return broken('LINK_LOOP', 'the link leads round in a circle')
    return broken('UNREADABLE', messageOf(error))
  }
}
