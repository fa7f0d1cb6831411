// Fine-tuned against frozen: node bench/finetune/lines.mjs <images> <model> [recipe] [seeds] [strategies] [epochs]
// For every seed the same images are held out from the tuned network and from each classical trainer on frozen
// embeddings; prints one line a seed and, at the end, the mean paired difference to the best trainer with its 95 %
// interval (Student's t over the seeds). The best trainer is the one with the highest mean over the seeds. Each line
// tells the training accuracy of the last epoch, the epoch that was kept and the selection part's accuracies as well.
// Minutes to hours on a CPU. TRAINERS=linear-svm,… THREADS, OPTIONS='{…}' for more options.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder } from '../../dist/base/cache.js'
import { fitClassifier, predictedClasses } from '../../dist/classifiers/classifier.js'
import { extractImages } from '../../dist/embeddings/extract/extract-images.js'
import { openStore, readTable } from '../../dist/embeddings/store/store.js'
import { prepareFinetune } from '../../dist/finetune/plan/prepare.js'
import { runFinetune } from '../../dist/finetune/run.js'
import { getTrainer } from '../../dist/trainers/registry.js'

const [source, model, recipe = '', seedList = '0,1,2,3,4', strategyList = 'last,all', epochs = ''] =
  process.argv.slice(2)
const seeds = seedList.split(',').map(Number)
const strategies = strategyList.split(',')
const classical = (process.env.TRAINERS ?? 'linear-svm,logistic,kernel-svm,mlp,random-forest').split(',')
const more = JSON.parse(process.env.OPTIONS ?? '{}')
const threads = Number(process.env.THREADS ?? 2)
const student = { 1: Number.NaN, 2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776 }
const work = await mkdtemp(join(tmpdir(), 'fc7-lines-'))
const common = { source, model, cacheFolder: cacheFolder(), ...(recipe === '' ? {} : { recipe }) }
await extractImages({ ...common, thumbs: false }, { out: join(work, 'store'), threads })
const store = await openStore(join(work, 'store'))
const table = await readTable(store, store.plan.layers[0].name)
const rowOf = new Map(table.ids.map((id, row) => [id, row]))
const results = new Map()
const note = (name, accuracy) => results.set(name, [...(results.get(name) ?? []), accuracy])

async function trainerAccuracy(trainer, classes, fit, report) {
  const rows = (ids) => ids.flatMap((id) => rowOf.get(id) ?? [])
  const matrix = (list) => ({
    data: Float32Array.from(
      { length: list.length * table.dim },
      (_, i) => table.x[list[Math.floor(i / table.dim)] * table.dim + (i % table.dim)],
    ),
    rows: list.length,
    cols: table.dim,
  })
  const train = rows(fit)
  const classifier = await fitClassifier({
    trainer: getTrainer(trainer),
    set: {
      x: matrix(train),
      y: Int32Array.from(train, (row) => classes.indexOf(table.labels[row])),
      classes,
      ids: train.map((row) => table.ids[row]),
    },
    provenance: { backbone: model, layer: table.layer, recipe: 'bench' },
    threads,
  })
  const test = rows(report)
  const predicted = predictedClasses(await classifier.predictScores(matrix(test), { threads }), classes.length)
  return test.filter((row, i) => classes[predicted[i]] === table.labels[row]).length / test.length
}

for (const seed of seeds) {
  const line = { seed }
  for (const strategy of strategies) {
    const options = { strategy, seed, ...more, ...(epochs === '' ? {} : { epochs: Number(epochs) }) }
    const prepared = await prepareFinetune({ ...common, options })
    const out = join(work, `${strategy}-${seed}`)
    const { accuracy, history, bestEpoch, seconds } = await runFinetune(prepared, {}, { out, threads })
    const record = JSON.parse(await readFile(join(out, 'finetune.json'), 'utf8'))
    note(strategy, accuracy)
    line[strategy] = accuracy
    line[`${strategy} training`] = {
      trainAccuracy: history.at(-1).trainAccuracy,
      bestEpoch,
      selected: history.map((epoch) => Number(epoch.selectAccuracy.toFixed(3))).join(' '),
      seconds: Math.round(seconds),
    }
    if (strategy === strategies[0]) {
      const { roles, items, classes } = prepared
      const fit = [...roles.train, ...roles.select].map((i) => items[i].id)
      const report = record.predictions.map(({ id }) => id)
      for (const trainer of classical) {
        line[trainer] = await trainerAccuracy(trainer, classes, fit, report)
        note(trainer, line[trainer])
      }
    }
    await rm(out, { recursive: true, force: true })
  }
  console.log(JSON.stringify(line))
}
const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length
const best = classical.reduce((a, b) => (mean(results.get(b)) > mean(results.get(a)) ? b : a))
for (const strategy of strategies) {
  const differences = results.get(strategy).map((value, i) => value - results.get(best)[i])
  const middle = mean(differences)
  const spread = Math.sqrt(
    differences.reduce((sum, d) => sum + (d - middle) ** 2, 0) / Math.max(1, differences.length - 1),
  )
  const half = ((student[seeds.length] ?? 1.96) * spread) / Math.sqrt(seeds.length)
  console.log(
    JSON.stringify({
      strategy,
      mean: mean(results.get(strategy)),
      best,
      bestMean: mean(results.get(best)),
      difference: middle,
      interval: [middle - half, middle + half],
    }),
  )
}
await rm(work, { recursive: true, force: true })
