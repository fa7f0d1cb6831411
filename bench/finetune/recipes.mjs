// Which training recipe suits a data set: node bench/finetune/recipes.mjs <images> <model> <recipe or -> '<options as
// JSON>'... Trains once for each set of options and prints what the selection part says (a seeded 15 % of train, or val
// beside test). The reported part is never shown: a recipe chosen here may be measured on it afterwards (lines.mjs).
// Frozen activations are computed once for all sets of options that share them. SEED=0, THREADS, KEEP=<folder for
// frozen activations, kept>.
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder } from '../../dist/base/cache.js'
import { sha256 } from '../../dist/base/files.js'
import { prepareFinetune } from '../../dist/finetune/plan/prepare.js'
import { runFinetune } from '../../dist/finetune/run.js'

const [source, model, recipe, ...sets] = process.argv.slice(2)
const seed = Number(process.env.SEED ?? 0)
const threads = process.env.THREADS === undefined ? {} : { threads: Number(process.env.THREADS) }
const work = await mkdtemp(join(tmpdir(), 'fc7-recipes-'))
const keep = process.env.KEEP ?? join(work, 'kept')
await mkdir(keep, { recursive: true })
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
      const { dataset, backbone, images, phases, options } = prepared.plan
      // What the frozen activations depend on, in place of the whole plan.
      const { augment, erase, grey, rotation } = options
      const facts = { dataset, backbone, images, seed, augment, erase, grey, rotation }
      const planHash = sha256(JSON.stringify([facts, phases[0].boundary, phases[0].views]))
      const out = join(work, String(i))
      const frozen = join(out, 'work', 'frozen0')
      const held = join(keep, planHash.slice(0, 16))
      await mkdir(join(out, 'work'), { recursive: true })
      await rename(held, frozen).catch(() => {})
      const run = { out, keepFrozen: true, ...threads }
      const done = await runFinetune({ ...prepared, planHash }, {}, run)
      await rename(frozen, held).catch(() => {})
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
