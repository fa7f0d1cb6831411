// The advisor's verdict beside what happened: node bench/advisor/outcomes.mjs <model> <recipe> <out folder> <name>=<pictures>...
// For each data set a seeded part is copied into train and test folders (an own test split is kept, at most `train` and `test` pictures a
// class); `fc7 advise` sees the training part, then every strategy is run on the same split with the same seed: linear-svm and logistic on
// frozen embeddings (`fc7 compare`), `fc7 finetune` with head, last and all. `textures` without a folder is made (textures.mjs). Prints
// one JSON line a data set and a Markdown table; finished parts under <out folder> are not repeated. Environment: TRAIN=40 TEST=40
// EPOCHS=8 SEED=0 RATE=0.001 THREADS.
import { spawn } from 'node:child_process'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { createRandom } from '../../dist/base/random.js'
import { openDataset } from '../../dist/datasets/open.js'
import { writeTextures } from './textures.mjs'

const [model, recipe, out, ...sets] = process.argv.slice(2)
const setting = (name, value) => process.env[name] ?? value
const [train, test, epochs, seed] = [
  ['TRAIN', 40],
  ['TEST', 40],
  ['EPOCHS', 8],
  ['SEED', 0],
].map(([name, value]) => Number(setting(name, value)))
const rate = setting('RATE', '0.001')
const bin = new URL('../../bin/fc7.js', import.meta.url).pathname

/** Runs the command and returns its JSON document and its seconds; a document that is kept is not computed again. */
async function fc7(kept, ...args) {
  const held = await readFile(kept, 'utf8').catch(() => undefined)
  if (held) return JSON.parse(held)
  const started = performance.now()
  const child = spawn(process.execPath, [bin, ...args, '--json', '--quiet', '--seed', String(seed)])
  const text = { out: '', err: '' }
  child.stdout.on('data', (part) => (text.out += part))
  child.stderr.on('data', (part) => (text.err += part))
  const code = await new Promise((done) => child.on('close', done))
  if (code !== 0) throw new Error(`fc7 ${args.join(' ')}: ${text.err}`)
  const done = { seconds: (performance.now() - started) / 1000, result: JSON.parse(text.out) }
  await writeFile(kept, JSON.stringify(done))
  return done
}

/** Copies the seeded part; a set without a test split gives one. */
async function cut(from, to) {
  const items = []
  for await (const item of (await openDataset(from)).items())
    if (item.label !== undefined && item.load.kind === 'file' && extname(item.path) !== '.gif') items.push(item)
  const random = createRandom(seed).fork('outcomes')
  const held = ['test', 'val'].find((split) => items.some((item) => item.split === split))
  const labels = [...new Set(items.map(({ label }) => label))]
  for (const label of labels) {
    const own = random.shuffled(items.filter((item) => item.label === label))
    const parts = held
      ? { train: own.filter(({ split }) => split !== held), test: own.filter(({ split }) => split === held) }
      : {
          test: own.slice(0, Math.min(test, Math.floor(own.length / 3))),
          train: own.slice(Math.min(test, Math.floor(own.length / 3))),
        }
    for (const [split, most] of Object.entries({ train, test })) {
      const folder = join(to, split, label)
      await mkdir(folder, { recursive: true })
      for (const [i, { load, path }] of parts[split].slice(0, most).entries())
        await copyFile(load.path, join(folder, `${String(i).padStart(4, '0')}${extname(path).toLowerCase()}`))
    }
  }
}

const lines = []
await mkdir(out, { recursive: true })
for (const set of sets) {
  const [name, given] = set.split('=')
  const work = resolve(out, name)
  const pictures = join(work, 'pictures')
  await mkdir(work, { recursive: true })
  if (!(await readFile(join(work, 'cut')).catch(() => undefined))) {
    await rm(pictures, { recursive: true, force: true })
    const source = given ?? join(work, 'made')
    if (given === undefined) await writeTextures(source, train + test, seed)
    await cut(source, pictures)
    await writeFile(join(work, 'cut'), '')
  }
  const common = ['--model', resolve(model), '--recipe', recipe]
  const { result: advised, seconds: adviceSeconds } = await fc7(
    join(work, 'advice.json'),
    'advise',
    pictures,
    ...common,
    '--epochs',
    String(epochs),
  )
  const compared = await fc7(
    join(work, 'frozen.json'),
    'compare',
    pictures,
    ...common,
    '--trainers',
    'linear-svm,logistic',
    '--out',
    join(work, 'frozen'),
  )
  const accuracy = {}
  const seconds = { embeddings: compared.seconds }
  for (const { trainer, metrics } of compared.result.results) accuracy[trainer] = metrics.accuracy.value
  accuracy.embeddings = Math.max(accuracy['linear-svm'], accuracy.logistic)
  for (const strategy of ['head', 'last', 'all']) {
    const tuned = await fc7(
      join(work, `${strategy}.json`),
      'finetune',
      pictures,
      ...common,
      '--strategy',
      strategy,
      '--epochs',
      String(epochs),
      '--rate',
      rate,
      '--force',
      '--out',
      join(work, strategy),
    )
    accuracy[strategy] = tuned.result.accuracy
    seconds[strategy] = tuned.seconds
  }
  const { advice } = advised
  const best = Object.entries(accuracy)
    .filter(([key]) => ['embeddings', 'head', 'last', 'all'].includes(key))
    .sort((a, b) => b[1] - a[1])[0]
  const tested = compared.result.results[0].predictions
  const half = 1.96 * Math.sqrt((best[1] * (1 - best[1])) / tested)
  const line = {
    name,
    tested,
    verdict: advice.verdict.strategy,
    confidence: advice.verdict.confidence,
    probe: advice.probe.accuracy,
    accuracy,
    best: best[0],
    half,
    seconds,
    adviceSeconds,
    foreseen: advice.cost,
  }
  lines.push(line)
  console.log(JSON.stringify(line))
}
const percent = (value) => (100 * value).toFixed(1)
console.log(
  '\n| data set | tested | verdict | embeddings | head | last | all | best |\n| --- | --: | --- | --: | --: | --: | --: | --- |',
)
for (const { name, tested, verdict, confidence, accuracy: a, best, half } of lines)
  console.log(
    `| ${name} | ${tested} | ${verdict} (${confidence}) | ${percent(a.embeddings)} | ${percent(a.head)} | ${percent(a.last)} | ${percent(a.all)} | ${best}, ± ${percent(half)} |`,
  )
