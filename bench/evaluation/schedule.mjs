// The same comparison under a budget of one thread and of two: how much faster, and whether the predictions are the
// same bytes.
//
//   node bench/evaluation/schedule.mjs [--rows 5000] [--cols 4096] [--trainers linear-svm,logistic,...] [--order 1,2]
//
// Five trainers × five folds on generated embeddings (ReLU-sparse, overlapping classes, seeded; see
// bench/trainers/data.mjs).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { planComparison } from '../../dist/evaluation/plan/plan.js'
import { runComparison } from '../../dist/evaluation/run.js'
import { generated, readSets } from '../trainers/data.mjs'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '5000' },
    cols: { type: 'string', default: '4096' },
    trainers: { type: 'string', default: 'linear-svm,logistic,random-forest,knn,mlp' },
    order: { type: 'string', default: '1,2' },
    fits: { type: 'boolean', default: false },
  },
})

const { train } = readSets(await generated('medium', 1))
const rows = Math.min(Number(values.rows), train.x.rows)
const dim = Math.min(Number(values.cols), train.x.cols)
// Shared once: workers read it where it is.
const x = new Float32Array(new SharedArrayBuffer(rows * dim * 4))
for (let i = 0; i < rows; i++) x.set(train.x.data.subarray(i * train.x.cols, i * train.x.cols + dim), i * dim)
const none = Array.from({ length: rows }, () => null)
const ids = Array.from({ length: rows }, (_, i) => `image-${i}`)
const labels = Array.from({ length: rows }, (_, i) => train.classes[train.y[i]])
const table = {
  ...{ layer: 'generated', rows, dim, x, ids, paths: ids, labels, splits: none, groups: none },
  views: new Uint16Array(rows),
  classes: [...new Set(labels)],
}
const tables = [{ name: 'generated', table }]
const trainers = values.trainers.split(',')
const plan = planComparison({ tables, trainers, folds: 5, seed: 1 })
console.log(`${plan.fits.length} fits of ${trainers.join(', ')} on ${rows} × ${dim}, ${table.classes.length} classes`)

const root = mkdtempSync(join(tmpdir(), 'fc7-schedule-'))
const found = new Map()
try {
  for (const threads of values.order.split(',').map(Number)) {
    const out = join(root, `${threads}`)
    let fitted = 0
    const started = performance.now()
    const progress = {
      say: () => {},
      task: ({ label }) => ({
        update: () => {},
        end: () => {
          if (label === 'Fitting') fitted = performance.now() - started
        },
      }),
    }
    const evaluation = await runComparison(plan, { tables, out, threads, progress })
    const total = performance.now() - started
    found.set(threads, { total, fitted, bytes: readFileSync(join(out, 'predictions-d0.arrow')), evaluation })
    console.log(
      `${threads} thread${threads > 1 ? 's' : ''}: ${(total / 1000).toFixed(1)} s in all, ${(fitted / 1000).toFixed(1)} s of it fitting`,
    )
    for (const result of evaluation.results) {
      const { fitMs } = result.timing
      console.log(
        `  ${result.trainer}: accuracy ${result.metrics.accuracy.value.toFixed(4)}, ${(fitMs / 1000).toFixed(2)} s a fit`,
      )
    }
  }
} finally {
  rmSync(root, { recursive: true, force: true })
}
const [one, two] = [found.get(1), found.get(2)]
if (one && two) {
  const same = one.bytes.equals(two.bytes)
  const figures = (of) => JSON.stringify(of.evaluation.results.map((result) => result.metrics))
  console.log(
    `two threads over one: ${(one.total / two.total).toFixed(2)} times faster in all, ${(one.fitted / two.fitted).toFixed(2)} times in the fits`,
  )
  console.log(
    `predictions ${same ? 'the same bytes' : 'DIFFER'}, metrics ${figures(one) === figures(two) ? 'the same' : 'DIFFER'}`,
  )
  if (!same) process.exitCode = 1
}
