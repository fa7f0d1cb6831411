import { z } from 'zod'
import { readIfPresent } from '../../base/files.js'
import { machineFacts } from '../../runtime/machine.js'
import { runPath } from './layout.js'

const runSchema = z.object({
  images: z.int().positive(),
  seconds: z.number().positive(),
  /** Runs before this was written have none. */
  steady: z.object({ images: z.int().min(0), seconds: z.number().min(0) }).optional(),
  machine: z.object({ cpu: z.string(), cores: z.number() }),
})

/** How long extraction takes on this machine: `start` once, then `perImage`; seconds. */
export interface Pace {
  readonly start: number
  readonly perImage: number
}

/** So few images after the first batches say nothing about the rest. */
const fewest = 8

/** The pace of the largest run on a machine like this one, or undefined where run.jsonl knows none. */
export async function measuredPace(store: string): Promise<Pace | undefined> {
  const here = machineFacts()
  const lines = (await readIfPresent(runPath(store)))?.toString('utf8').split('\n') ?? []
  const runs = lines.flatMap((line) => {
    try {
      const parsed = runSchema.safeParse(JSON.parse(line))
      return parsed.success ? [parsed.data] : []
    } catch {
      // A run that was killed while it wrote leaves half a line; the others still count.
      return []
    }
  })
  const own = runs.filter(({ machine }) => machine.cpu === here.cpu && machine.cores === here.cores)
  const largest = own.sort((a, b) => b.images - a.images)[0]
  if (!largest) return undefined
  const { images, seconds, steady } = largest
  if (!steady || steady.images < fewest || steady.seconds === 0) return { start: 0, perImage: seconds / images }
  const perImage = steady.seconds / steady.images
  return { start: Math.max(0, seconds - perImage * images), perImage }
}
