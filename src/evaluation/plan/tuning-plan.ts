import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import type { ParamSpec, ParamValue, Trainer } from '../../trainers/contract.js'
import { paramGrid, parseParam, type RawParams, resolveParams } from '../../trainers/params.js'

/** How `--tune` searches. */
export interface TuneOptions {
  readonly search?: 'grid' | 'random' | undefined
  /** Candidates of a random search, and the most that a grid may have before it becomes one. */
  readonly candidates?: number | undefined
  readonly innerFolds?: number | undefined
  /** Own grids by parameter name, instead of the trainer's. */
  readonly grids?: ReadonlyMap<string, readonly ParamValue[]> | undefined
}

const value = z.union([z.number(), z.string(), z.boolean()])
export const tuneSchema = z.strictObject({
  search: z.enum(['grid', 'random']),
  innerFolds: z.int().min(2),
  /** Complete parameters of every candidate, in the order tried; equal scores go to the earlier. */
  candidates: z.array(z.array(z.tuple([z.string(), value]))).min(1),
})
export type TunePlan = z.infer<typeof tuneSchema>

/**
 * A value of a parameter drawn at random: from its range where it has one (log-uniform where it says so), else from its
 * grid.
 */
function draw(spec: ParamSpec, grid: readonly ParamValue[], next: () => number): ParamValue {
  const numbers = grid.filter((one) => typeof one === 'number')
  if ((spec.type === 'number' || spec.type === 'integer') && numbers.length > 1) {
    const low = Math.min(...numbers)
    const high = Math.max(...numbers)
    const u = next()
    const drawn =
      spec.log && low > 0 ? Math.exp(Math.log(low) + u * (Math.log(high) - Math.log(low))) : low + u * (high - low)
    return spec.type === 'integer' ? Math.round(drawn) : Number(drawn.toPrecision(6))
  }
  return grid[Math.floor(next() * grid.length)]!
}

/**
 * The candidates of a trainer's search. Parameters that the user set are kept fixed; a trainer without grids has one
 * candidate.
 *
 * @throws Fc7Error USAGE_PARAM for grid values the parameter does not take
 */
export function tunePlan(
  trainer: Trainer,
  fixed: RawParams,
  options: TuneOptions,
  key: string,
  context: { readonly seed?: number | string | undefined },
): TunePlan {
  const given = fixed instanceof Map ? (fixed as ReadonlyMap<string, ParamValue>) : new Map(Object.entries(fixed))
  for (const name of options.grids?.keys() ?? []) {
    if (!trainer.params.some((spec) => spec.name === name))
      throw new Fc7Error('USAGE_PARAM_UNKNOWN', `${trainer.id} has no parameter "${name}" to search.`, {
        hint: `It has ${trainer.params.map((spec) => spec.name).join(', ') || 'none'}.`,
      })
  }
  const free = trainer.params
    .filter((spec) => !given.has(spec.name))
    .map((spec) => ({ spec, grid: options.grids?.get(spec.name) ?? (spec.grid as readonly ParamValue[] | undefined) }))
    .filter((one): one is { spec: ParamSpec; grid: readonly ParamValue[] } => one.grid !== undefined)
  for (const { spec, grid } of free) for (const one of grid) parseParam(spec, one)
  const complete = (chosen: ReadonlyMap<string, ParamValue>): [string, ParamValue][] => [
    ...resolveParams(trainer.params, new Map([...given, ...chosen])),
  ]
  const most = options.candidates ?? 30
  const size = free.reduce((product, { grid }) => product * grid.length, 1)
  const innerFolds = options.innerFolds ?? 3
  if ((options.search ?? 'grid') === 'grid' && size <= most) {
    // A parameter with a grid of its own stands in for the declared one.
    const grids = paramGrid(free.map(({ spec, grid }) => ({ ...spec, grid }) as ParamSpec))
    return { search: 'grid', innerFolds, candidates: grids.map(complete) }
  }
  const random = createRandom(context.seed ?? 0).fork(`tune/${key}`)
  const candidates = [complete(new Map())]
  const known = new Set(candidates.map((one) => JSON.stringify(one)))
  for (let tries = 0; candidates.length < most && tries < most * 20; tries++) {
    const chosen = complete(new Map(free.map(({ spec, grid }) => [spec.name, draw(spec, grid, random.next)])))
    if (known.has(JSON.stringify(chosen))) continue
    known.add(JSON.stringify(chosen))
    candidates.push(chosen)
  }
  return { search: 'random', innerFolds, candidates }
}
