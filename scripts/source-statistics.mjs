// Statistics of a backbone's own training images, for `fc7 advise` (docs/advise.md):
// node scripts/source-statistics.mjs <store> --about <which images> [--components 32] [--rows 200] >
// onnx-models/source/<id>.json
import { parseArgs } from 'node:util'
import { encodeFloats } from '../dist/advisor/evidence/source-statistics.js'
import { createRandom } from '../dist/base/random.js'
import { openStore, readTable } from '../dist/embeddings/store/store.js'
import { gemm, pickRows } from '../dist/trainers/linalg/gemm.js'
import { fitPca } from '../dist/trainers/preprocess/pca.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    about: { type: 'string' },
    components: { type: 'string', default: '32' },
    rows: { type: 'string', default: '200' },
  },
})
if (positionals.length !== 1 || !values.about) {
  console.error('node scripts/source-statistics.mjs <store> --about <which images> [--components 32] [--rows 200]')
  process.exit(2)
}
const store = await openStore(positionals[0])
const table = await readTable(store)
const x = { data: table.x, rows: table.rows, cols: table.dim }
const { mean, projection } = await fitPca(
  x,
  { components: Number(values.components), whiten: false },
  { seed: 0, threads: 2 },
)
const moved = x.data.map((value, at) => value - mean[at % x.cols])
const scores = await gemm({ ...x, data: moved }, projection, { transB: true, threads: 2 })
const variances = Array.from({ length: projection.rows }, (_, k) => {
  let sum = 0
  for (let i = 0; i < x.rows; i++) sum += scores.data[i * projection.rows + k] ** 2
  return sum / (x.rows - 1)
})
const chosen = createRandom('source statistics')
  .shuffled(Array.from({ length: x.rows }, (_, i) => i))
  .slice(0, Number(values.rows))
console.log(
  JSON.stringify({
    format: 1,
    backbone: store.plan.backbone.id,
    sha256: store.plan.backbone.sha256,
    layer: table.layer,
    recipe: store.plan.recipe?.name ?? 'none',
    about: values.about,
    dim: x.cols,
    components: projection.rows,
    rows: chosen.length,
    mean: encodeFloats(mean),
    axes: encodeFloats(projection.data),
    variances: encodeFloats(variances),
    sample: encodeFloats(pickRows(scores, chosen).data),
  }),
)
