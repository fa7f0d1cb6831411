import { z } from 'zod'
import { readIfPresent } from '../base/files.js'
import { machineFacts } from '../runtime/machine.js'
import { runPath } from './layout.js'

const runSchema = z.object({
  pictures: z.int().positive(),
  seconds: z.number().positive(),
  machine: z.object({ cpu: z.string(), cores: z.number() }),
})

/** Seconds a picture took in the largest run on a machine like this one, or undefined where run.jsonl knows none. */
export async function secondsPerPicture(store: string): Promise<number | undefined> {
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
  const largest = own.sort((a, b) => b.pictures - a.pictures)[0]
  return largest && largest.seconds / largest.pictures
}
