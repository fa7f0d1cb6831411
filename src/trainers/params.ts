import { Fc7Error } from '../base/errors.js'
import type { ParamSpec, Params, ParamValue } from './contract.js'

/** What a user may hand over: texts from `--set name=value`, or values from a program. */
export type RawParams = ReadonlyMap<string, ParamValue> | Readonly<Record<string, ParamValue>>

function bad(spec: ParamSpec, raw: ParamValue, expected: string): Fc7Error {
  return new Fc7Error('USAGE_PARAM', `${spec.name} cannot be "${String(raw)}": ${expected} is expected.`, {
    hint: `${spec.name}: ${spec.help} (default ${spec.default})`,
  })
}

function range(spec: {
  readonly type: 'number' | 'integer' | 'number-or-word'
  readonly min?: number | undefined
  readonly max?: number | undefined
}): string {
  const kind = spec.type === 'integer' ? 'a whole number' : 'a number'
  if (spec.min !== undefined && spec.max !== undefined) return `${kind} from ${spec.min} to ${spec.max}`
  if (spec.min !== undefined) return `${kind} of at least ${spec.min}`
  return spec.max === undefined ? kind : `${kind} of at most ${spec.max}`
}

/** What a parameter accepts, in few words. */
function accepts(spec: ParamSpec): string {
  switch (spec.type) {
    case 'number-or-word':
    case 'number':
    case 'integer': {
      const short = (n: number): string => (n >= 1e6 ? n.toExponential().replace('e+', 'e') : String(n))
      const ends = [
        ...(spec.min === undefined ? [] : [`from ${short(spec.min)}`]),
        ...(spec.max === undefined ? [] : [`to ${short(spec.max)}`]),
      ]
      const range = [...(spec.type === 'integer' ? ['whole'] : []), ...ends].join(' ') || 'a number'
      return spec.type === 'number-or-word' ? `${spec.words.join(', ')}, or ${range}` : range
    }
    case 'choice':
      return spec.choices.join(', ')
    case 'boolean':
      return 'true or false'
    case 'sizes':
      return 'whole numbers such as 512,128'
  }
}

/** A line of help for each hyper-parameter: name and default, what it is, what it accepts. */
export function describeParams(specs: readonly ParamSpec[]): string[] {
  if (specs.length === 0) return ['  no hyper-parameters']
  const heads = specs.map((spec) => `${spec.name}=${spec.default}`)
  const width = Math.max(...heads.map((head) => head.length))
  return specs.map((spec, i) => `  ${heads[i]!.padEnd(width)}  ${spec.help} (${accepts(spec)})`)
}

/**
 * One value, given as text or as itself, checked against its declaration.
 *
 * @throws Fc7Error USAGE_PARAM naming the parameter and what it accepts
 */
export function parseParam(spec: ParamSpec, raw: ParamValue): ParamValue {
  switch (spec.type) {
    case 'number-or-word':
    case 'number':
    case 'integer': {
      if (spec.type === 'number-or-word' && spec.words.includes(raw as string)) return raw
      const value =
        typeof raw === 'number' ? raw : typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : Number.NaN
      const fits =
        Number.isFinite(value) &&
        (spec.type !== 'integer' || Number.isSafeInteger(value)) &&
        (spec.min === undefined || value >= spec.min) &&
        (spec.max === undefined || value <= spec.max)
      if (!fits) {
        const words = spec.type === 'number-or-word' ? `${spec.words.join(', ')} or ` : ''
        throw bad(spec, raw, words + range(spec))
      }
      return value
    }
    case 'choice':
      if (typeof raw !== 'string' || !spec.choices.includes(raw))
        throw bad(spec, raw, `one of ${spec.choices.join(', ')}`)
      return raw
    case 'boolean':
      if (raw === true || raw === 'true' || raw === 'yes') return true
      if (raw === false || raw === 'false' || raw === 'no') return false
      throw bad(spec, raw, 'true or false')
    case 'sizes': {
      const text = String(raw).replaceAll(' ', '')
      if (text !== '' && !/^[1-9]\d{0,6}(,[1-9]\d{0,6})*$/.test(text))
        throw bad(spec, raw, 'whole numbers separated by commas, such as 512,128,')
      return text
    }
  }
}

/** The same word but for case, or for one letter more, fewer or other; or one begins with the other. */
function isNear(typed: string, name: string): boolean {
  const [a, b] = [typed.toLowerCase(), name.toLowerCase()]
  if (a === b || (a.length > 2 && b.startsWith(a)) || (b.length > 2 && a.startsWith(b))) return true
  if (Math.abs(a.length - b.length) > 1 || Math.min(a.length, b.length) < 3) return false
  let from = 0
  while (from < a.length && a[from] === b[from]) from++
  let back = 0
  while (back < Math.min(a.length, b.length) - from && a.at(-1 - back) === b.at(-1 - back)) back++
  return Math.max(a.length, b.length) - from - back <= 1
}

/**
 * Completes and checks hyper-parameters: every declared one is present in the result, in declaration order.
 *
 * @throws Fc7Error USAGE_PARAM, or USAGE_PARAM_UNKNOWN with the names there are
 */
export function resolveParams(specs: readonly ParamSpec[], raw: RawParams = new Map()): Params {
  const given = raw instanceof Map ? (raw as ReadonlyMap<string, ParamValue>) : new Map(Object.entries(raw))
  for (const name of given.keys()) {
    if (!specs.some((spec) => spec.name === name)) {
      const near = specs.find((spec) => isNear(name, spec.name))
      throw new Fc7Error('USAGE_PARAM_UNKNOWN', `There is no parameter "${name}".`, {
        hint:
          specs.length === 0
            ? 'This trainer has none.'
            : `${near ? `Did you mean ${near.name}? ` : ''}It has ${specs.map((spec) => spec.name).join(', ')}.`,
      })
    }
  }
  return new Map(
    specs.map((spec) => [spec.name, given.has(spec.name) ? parseParam(spec, given.get(spec.name)!) : spec.default]),
  )
}

/**
 * Splits `name=value` as typed after `--set`.
 *
 * @throws Fc7Error USAGE_SET
 */
export function parseSetting(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) {
    throw new Fc7Error('USAGE_SET', `--set ${text} is not name=value.`, { hint: 'For example: --set C=10' })
  }
  return [text.slice(0, at).trim(), text.slice(at + 1).trim()]
}

/** Typed reads for trainers; the types were checked by {@link resolveParams}. */
/** A declared parameter by its kind. A name that the trainer does not declare is a defect of the trainer, never NaN. */
function declared<T extends ParamValue>(params: Params, name: string, kind: 'number' | 'string' | 'boolean'): T {
  const value = params.get(name)
  if (typeof value !== kind) throw new TypeError(`the parameter ${name} is ${value}, not a ${kind}`)
  return value as T
}

export const number = (params: Params, name: string): number => declared<number>(params, name, 'number')
export const text = (params: Params, name: string): string => declared<string>(params, name, 'string')
export const flag = (params: Params, name: string): boolean => declared<boolean>(params, name, 'boolean')

/** Every combination of the declared grids, for `--tune`: the first is not necessarily the default. */
export function paramGrid(specs: readonly ParamSpec[]): ReadonlyMap<string, ParamValue>[] {
  let combinations: Map<string, ParamValue>[] = [new Map()]
  for (const spec of specs) {
    if (!spec.grid) continue
    const grid: readonly ParamValue[] = spec.grid
    combinations = combinations.flatMap((before) => grid.map((value) => new Map([...before, [spec.name, value]])))
  }
  return combinations
}
