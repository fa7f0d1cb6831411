// Which training recipe suits a data set: node bench/finetune/recipes.mjs <pictures> <model> <recipe or -> '<options as JSON>'...
// Trains once for each set of options and prints what the selection part says (a seeded 15 % of train, or val beside test). The reported
// part is never shown: a recipe chosen here may be measured on it afterwards (lines.mjs). SEED=0, THREADS.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder } from '../../dist/base/cache.js'
import { prepareFinetune } from '../../dist/finetune/prepare.js'
import { runFinetune } from '../../dist/finetune/run.js'

const [source, model, recipe, ...sets] = process.argv.slice(2)
const seed = Number(process.env.SEED ?? 0)
const threads = process.env.THREADS === undefined ? {} : { threads: Number(process.env.THREADS) }
const work = await mkdtemp(join(tmpdir(), 'fc7-recipes-'))
const round = (value) => Number(value.toFixed(3))
try {
  for (const [i, text] of sets.entries()) {
    const given = JSON.parse(text)
    const line = { given: text }
    try {
      const prepared = await prepareFinetune({
        source,
        model,
        cacheFolder: cacheFolder(),
        ...(recipe === '-' ? {} : { recipe }),
        options: { seed, ...given },
      })
      const done = await runFinetune(prepared, {}, { out: join(work, String(i)), versions: {}, ...threads })
      const best = done.history.find(({ epoch }) => epoch === done.bestEpoch) ?? done.history.at(-1)
      Object.assign(line, {
        bestEpoch: done.bestEpoch,
        selectLoss: round(best.selectLoss),
        selectAccuracy: round(best.selectAccuracy),
        lastTrainAccuracy: round(done.history.at(-1).trainAccuracy),
        seconds: Math.round(done.seconds),
        selected: done.history.map((epoch) => round(epoch.selectAccuracy)).join(' '),
        losses: done.history.map((epoch) => `${round(epoch.trainLoss)}/${round(epoch.selectLoss)}`).join(' '),
      })
    } catch (error) {
      line.error = String(error.message)
    }
    console.log(JSON.stringify(line))
    await rm(join(work, String(i)), { recursive: true, force: true })
  }
} finally {
  await rm(work, { recursive: true, force: true })
}
