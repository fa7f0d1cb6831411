import { isAbsolute, relative } from 'node:path'

/** Whether `path` is `root` or lies below it; both must be real paths. */
export function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way === '' || !(way === '..' || way.startsWith('../') || way.startsWith('..\\') || isAbsolute(way))
}
