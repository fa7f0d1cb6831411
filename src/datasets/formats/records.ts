import type { Box } from '../contract.js'
import { splitOf } from './names.js'

/** What a row of a list or a sidecar file says about its image, checked. */
export interface Described {
  readonly label?: string | undefined
  readonly split?: string | undefined
  readonly group?: string | undefined
  readonly box?: Box | undefined
}

const maxTextLength = 1024

/** Names under which other tools write the same field. */
const aliases: Readonly<Record<'path' | 'label' | 'split' | 'group', readonly string[]>> = {
  path: ['path', 'file_name', 'filename', 'file', 'image', 'image_path', 'filepath'],
  label: ['label', 'class', 'category', 'class_name', 'cls', 'target'],
  split: ['split', 'subset', 'partition'],
  group: ['group', 'groups', 'patient', 'subject'],
}

export type Fields = ReadonlyMap<string, unknown>

/** A text, number or truth value as text; anything else, and the empty text, as nothing. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : undefined
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  return text === '' ? undefined : text.slice(0, maxTextLength)
}

/** The first of a field's names that is there. */
export function field(fields: Fields, name: keyof typeof aliases): unknown {
  for (const alias of aliases[name]) if (fields.has(alias)) return fields.get(alias)
  return undefined
}

function numberOf(value: unknown): number {
  if (typeof value === 'number') return value
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN
}

/** The box of x, y, w, h or of `box`/`bbox` [x, y, w, h]; nothing if there is none; a sentence if it is no box. */
function boxOf(fields: Fields): Box | undefined | string {
  const given = fields.get('box') ?? fields.get('bbox')
  const parts = Array.isArray(given) ? given : ['x', 'y', 'w', 'h'].map((name) => fields.get(name))
  if (!Array.isArray(given) && parts.every((part) => part === undefined || part === null || part === ''))
    return undefined
  const [x, y, w, h] = parts.map(numberOf)
  const inRange = [x, y, w, h].every((n) => n !== undefined && Number.isFinite(n) && Math.abs(n) <= 1e6)
  if (parts.length !== 4 || !inRange || w! <= 0 || h! <= 0 || x! < 0 || y! < 0)
    return `its box ${JSON.stringify(parts)} is not x, y from 0 and w, h above 0`
  return { x: x!, y: y!, w: w!, h: h! }
}

/** Label, split, group and box out of named fields; a sentence if the box is none. */
export function describe(fields: Fields): Described | string {
  const label = textOf(field(fields, 'label'))
  const split = textOf(field(fields, 'split'))
  const group = textOf(field(fields, 'group'))
  const box = boxOf(fields)
  if (typeof box === 'string') return box
  return { label, split: split === undefined ? undefined : (splitOf(split) ?? split), group, box }
}

/** The id of a path, with its box in the notation of media fragments. */
export const idOf = (path: string, box: Box | undefined): string =>
  box ? `${path}#xywh=${box.x},${box.y},${box.w},${box.h}` : path
