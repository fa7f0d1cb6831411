// Child process: one fit of one entry, in a fresh process. Prints one line of JSON.
//   node bench/trainers/fit.mjs <entry> <data folder> <seed> <threads> [name=value ...]
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { sizeOf } from '../../dist/classifiers/memory.js'
import { resolveParams } from '../../dist/trainers/params.js'
import { getTrainer } from '../../dist/trainers/registry.js'
import { readSets } from './data.mjs'

const [name, folder, seed, threads, ...settings] = process.argv.slice(2)
const { default: entry } = await import(`./entries/${name}.mjs`)
const { train, held } = readSets(folder)
const trainer = getTrainer(entry.trainer)
const raw = { ...entry.params, ...Object.fromEntries(settings.map((setting) => setting.split('='))) }
const params = resolveParams(trainer.params, raw)
const estimated = trainer.estimatedBytes(sizeOf(train, Number(threads)), params)
const peakMb = () => Math.round(process.resourceUsage().maxRSS / 1024)
const before = peakMb()
// Longest time that nothing else got a turn on the fit's thread: what a signal, a time limit or a progress bar waits
// for.
const loop = monitorEventLoopDelay({ resolution: 1 })
await sleep(20)
loop.enable()
await sleep(20)
loop.reset()
const started = performance.now()
const model = await trainer.fit(train, { params, seed: Number(seed), threads: Number(threads) })
const fitted = performance.now()
const memory = { dataMb: before, peakMb: peakMb(), estimatedMb: Math.round(estimated / 2 ** 20) }
await sleep(5)
const blockMs = Math.round(loop.max / 1e6)
loop.disable()
const predicting = performance.now()
const scores = await model.scores(held.x, { threads: Number(threads) })
const predicted = performance.now()
const classes = held.classes.length
let right = 0
for (let i = 0; i < held.y.length; i++) {
  let best = 0
  for (let c = 1; c < classes; c++) if (scores[i * classes + c] > scores[i * classes + best]) best = c
  if (best === held.y[i]) right++
}
console.log(
  JSON.stringify({
    blockMs,
    fitSeconds: (fitted - started) / 1000,
    predictSeconds: (predicted - predicting) / 1000,
    ...memory,
    accuracy: right / held.y.length,
    objective: entry.objective ? entry.objective(model, train, params) : null,
    facts: model.facts,
  }),
)
process.exit(0)
