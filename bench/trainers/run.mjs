// Time, peak memory, held-out accuracy, objective and the event loop's longest block of fc7's trainers on generated
// embeddings, with scikit-learn beside them in the same run, on the same bytes, with the same tolerances and thread
// count.
//
//   node bench/trainers/run.mjs [--size small|medium|large]... [--trainers a,b] [--seeds 1] [--threads 2] [--repeats 1]
//                               [--only fc7|sklearn] [--set name=value]... [--json]
//
// Every fit runs in a fresh process, so times include warming up. FC7_PYTHON names a Python with scikit-learn (default:
// python3); without one that runs on OpenBLAS no ratio is printed. With several seeds every seed is another data set,
// and the difference of the held-out accuracies (fc7 minus scikit-learn) comes paired, with its 95 % interval.
// FC7_BENCH_DATA is where data is kept.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { studentQuantile } from '../../dist/evaluation/statistics/distributions.js'
import { generated, sizes } from './data.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const args = process.argv.slice(2)
const values = (name) => args.flatMap((arg, i) => (arg === `--${name}` ? [args[i + 1]] : []))
const known = readdirSync(join(here, 'entries'))
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -4))
  .sort()
const wanted = values('trainers').length > 0 ? values('trainers').flatMap((list) => list.split(',')) : known
const chosen = values('size').length > 0 ? values('size').flatMap((list) => list.split(',')) : ['small']
const seeds = Number(values('seeds')[0] ?? 1)
const repeats = Number(values('repeats')[0] ?? 1)
const threads = Number(values('threads')[0] ?? Math.min(2, availableParallelism()))
const only = values('only')[0]
for (const [list, all] of [
  [wanted, known],
  [chosen, Object.keys(sizes)],
]) {
  const stranger = list.find((name) => !all.includes(name))
  if (stranger) {
    console.error(`There is no "${stranger}"; there are ${all.join(', ')}.`)
    process.exit(2)
  }
}
const say = args.includes('--json') ? console.error : console.log

function child(command, commandArgs, options = {}) {
  const run = spawnSync(command, commandArgs, { encoding: 'utf8', maxBuffer: 1 << 26, ...options })
  if (run.status === 0) return JSON.parse(run.stdout.trim().split('\n').at(-1))
  throw new Error(`${command} ${commandArgs.slice(0, 2).join(' ')}: ${(run.stderr || String(run.error)).slice(-1500)}`)
}

// Some machines set these for older OpenBLAS builds; they would slow a current one down.
const { OPENBLAS_CORETYPE: _core, OPENBLAS_L2_SIZE: _cache, ...clean } = process.env
const pythonEnv = { ...clean, OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) }
const python = process.env.FC7_PYTHON ?? 'python3'

/** Whether ratios may be printed; says on which libraries the other side runs. */
function reference() {
  if (only === 'fc7') return false
  let about
  try {
    about = child(python, [join(here, 'reference.py'), '--about'], { env: pythonEnv })
  } catch {
    say(`No ratios: ${python} has no scikit-learn with threadpoolctl (FC7_PYTHON names another Python).`)
    return false
  }
  say(`scikit-learn ${about.sklearn}, NumPy ${about.numpy}, Python ${about.python}`)
  for (const pool of about.pools) say(`  threadpool_info: ${JSON.stringify(pool)}`)
  const blas = about.pools.filter((pool) => pool.user_api === 'blas')
  if (blas.length > 0 && blas.every((pool) => pool.internal_api === 'openblas')) return true
  say('No ratios: this NumPy or SciPy does not run on OpenBLAS, which would make scikit-learn look slow.')
  return false
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

/** The middle run by time of `repeats`. */
function middle(runs) {
  const time = median(runs.map((run) => run.seconds))
  return runs.find((run) => run.seconds === time)
}

function timed(entry, result) {
  return { ...result, seconds: result.fitSeconds + (entry.timed === 'fit+predict' ? result.predictSeconds : 0) }
}

function ours(name, entry, folder, seed) {
  const settings = values('set')
  const once = () =>
    child(process.execPath, [join(here, 'fit.mjs'), name, folder, seed, threads, ...settings].map(String))
  return middle(Array.from({ length: repeats }, () => timed(entry, once())))
}

function theirs(entry, folder, seed) {
  const input = JSON.stringify({ model: entry.reference.model, objective: entry.reference.objective })
  const once = () =>
    child(python, [join(here, 'reference.py'), folder, seed, threads].map(String), { env: pythonEnv, input })
  return middle(Array.from({ length: repeats }, () => timed(entry, once())))
}

const show = ({ seconds, dataMb, peakMb, estimatedMb, accuracy, objective, blockMs }) =>
  `${seconds.toFixed(2).padStart(8)} s  ${String(peakMb).padStart(6)} MB (data ${dataMb}${estimatedMb === undefined ? '' : `, fit estimated ${estimatedMb}`})  accuracy ${accuracy.toFixed(4)}` +
  (objective == null ? '' : `  objective ${objective.toPrecision(9)}`) +
  (blockMs === undefined ? '' : `  longest block ${blockMs} ms`)

function verdict(entry, size, a, b) {
  const ratio = b.seconds / a.seconds
  const target = entry.targets?.[size]
  const parts = [`ratio ${ratio.toFixed(2)}`]
  if (b.seconds < 0.5) parts.push(`scikit-learn under 0.5 s: ours ${a.seconds <= 0.3 ? 'within' : 'over'} 0.3 s`)
  else if (target) parts.push(`target ${target}: ${ratio >= target ? 'reached' : 'missed'}`)
  if (a.objective != null && b.objective != null) {
    const difference = (a.objective - b.objective) / Math.abs(b.objective)
    parts.push(`objective ${difference >= 0 ? '+' : ''}${difference.toExponential(1)} relative`)
  }
  return parts.join(', ')
}

function paired(differences) {
  const n = differences.length
  const mean = differences.reduce((sum, d) => sum + d, 0) / n
  const deviation = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1))
  const half = (studentQuantile(0.975, n - 1) * deviation) / Math.sqrt(n)
  return { mean, low: mean - half, high: mean + half }
}

const compares = only === 'sklearn' ? reference() || process.exit(1) : reference()
const records = []
for (const size of chosen) {
  const { rows, cols, classes } = sizes[size]
  say(`\n${size}: ${rows} x ${cols}, ${classes} classes, ${threads} threads`)
  for (const name of wanted) {
    const { default: entry } = await import(`./entries/${name}.mjs`)
    if (entry.sizes && !entry.sizes.includes(size)) continue
    const differences = []
    for (let seed = 0; seed < seeds; seed++) {
      const folder = await generated(size, seed)
      const a = only === 'sklearn' ? undefined : ours(name, entry, folder, seed)
      if (a) say(`  ${name.padEnd(20)} ${show(a)}  ${JSON.stringify(a.facts)}`)
      const b = compares && entry.reference ? theirs(entry, folder, seed) : undefined
      if (b) say(`  ${entry.reference.title.slice(0, 20).padEnd(20)} ${show(b)}`)
      if (a && b) {
        differences.push(100 * (a.accuracy - b.accuracy))
        say(`    ${verdict(entry, size, a, b)}`)
      }
      records.push({ size, entry: name, seed, threads, fc7: a, sklearn: b })
    }
    if (differences.length > 1) {
      const { mean, low, high } = paired(differences)
      say(
        `    accuracy, points, over ${differences.length} seeds: ${mean.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`,
      )
    }
  }
}
if (args.includes('--json')) console.log(JSON.stringify({ format: 1, records }, null, 1))
process.exit(0)
