import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { loadOrt } from './ort.js'
import { closeSession, openSession } from './session.js'

/** One operator as it ran. */
export interface NodeTime {
  /** The node's name, or its first output's where it has none; onnxruntime may have joined several into one. */
  readonly name: string
  readonly op: string
  /** Milliseconds a run, the median of the runs. */
  readonly milliseconds: number
  readonly outputShape: readonly number[]
}

export interface GraphProfile {
  /** Milliseconds a run of the whole graph, the median. */
  readonly milliseconds: number
  /** In the order in which they run. */
  readonly nodes: readonly NodeTime[]
}

export interface ProfileOptions {
  readonly providers?: readonly string[] | undefined
  readonly threads?: number | undefined
  /** Runs that are measured, after one that is not. Default 5. */
  readonly runs?: number | undefined
}

const eventSchema = z.object({
  cat: z.string(),
  name: z.string(),
  ts: z.number(),
  dur: z.number(),
  args: z
    .object({
      op_name: z.string().optional(),
      output_type_shape: z.array(z.record(z.string(), z.array(z.number()))).optional(),
    })
    .optional(),
})

const kernelTime = '_kernel_time'

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/**
 * Runs a graph on uint8 pixels `dims` with onnxruntime's profiler on and reads what each operator took. It blocks its
 * thread.
 *
 * @throws Fc7Error SESSION_FAILED, RUNTIME_MISSING
 */
export async function profileGraph(
  model: string,
  dims: readonly number[],
  options: ProfileOptions = {},
): Promise<GraphProfile> {
  const { providers = ['cpu'], threads = 1, runs = 5 } = options
  const folder = await mkdtemp(join(tmpdir(), 'fc7-profile-'))
  try {
    const { Tensor } = loadOrt()
    const session = await openSession(model, {
      providers,
      threads,
      extra: { enableProfiling: true, profileFilePrefix: join(folder, 'run') },
    })
    const times: number[] = []
    try {
      const size = dims.reduce((product, n) => product * n, 1)
      const pixels = Uint8Array.from({ length: size }, (_, i) => (i * 7919) % 255)
      const feeds = { [session.inputNames[0]!]: new Tensor('uint8', pixels, dims) }
      for (let i = 0; i <= runs; i++) {
        const started = performance.now()
        await session.run(feeds)
        if (i > 0) times.push(performance.now() - started)
      }
      session.endProfiling()
    } finally {
      await closeSession(session)
    }
    const [file] = await readdir(folder)
    const events = z
      .array(eventSchema.catch({ cat: '', name: '', ts: 0, dur: 0 }))
      .parse(JSON.parse(await readFile(join(folder, file!), 'utf8')))
    return { milliseconds: median(times), nodes: nodeTimes(events, runs) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function nodeTimes(events: readonly z.infer<typeof eventSchema>[], runs: number): NodeTime[] {
  const byName = new Map<string, z.infer<typeof eventSchema>[]>()
  for (const event of events) {
    if (event.cat !== 'Node' || !event.name.endsWith(kernelTime)) continue
    const seen = byName.get(event.name)
    if (seen) seen.push(event)
    else byName.set(event.name, [event])
  }
  return [...byName].map(([name, seen]) => ({
    name: name.slice(0, -kernelTime.length),
    op: seen[0]!.args?.op_name ?? 'unknown',
    milliseconds: median(seen.slice(-runs).map((event) => event.dur / 1000)),
    outputShape: Object.values(seen[0]!.args?.output_type_shape?.[0] ?? {})[0] ?? [],
  }))
}

export interface OpTime {
  readonly op: string
  readonly count: number
  readonly milliseconds: number
}

/** Time by kind of operator, the most expensive first. */
export function timeByOp(nodes: readonly NodeTime[]): OpTime[] {
  const sums = new Map<string, { count: number; milliseconds: number }>()
  for (const { op, milliseconds } of nodes) {
    const sum = sums.get(op) ?? { count: 0, milliseconds: 0 }
    sums.set(op, { count: sum.count + 1, milliseconds: sum.milliseconds + milliseconds })
  }
  return [...sums].map(([op, sum]) => ({ op, ...sum })).sort((a, b) => b.milliseconds - a.milliseconds)
}
