// The advisor's verdict beside what happened:
//
//     node bench/advisor/outcomes.mjs <model> <recipe> <out folder> <name>=<images>@<train>/<test>...
//
// For each data set and seed a part is copied into train and test folders: at most so many images a class (an own test
// or val split is kept as the test part). `fc7 advise` sees the training part. Then everything runs on the same split
// with the same seed: the very command that the advice ends with; linear-svm and logistic on frozen embeddings of every
// layer of the sweep (`fc7 compare`), of which the better counts; `fc7 finetune` with its own defaults for each
// strategy. `textures` without a folder is made (textures.mjs). Prints one JSON line a data set and seed, and a
// Markdown table; finished parts under <out folder> are not repeated, but for the advice. Environment: SEEDS=0,
// STRATEGIES=head,last,all (none: empty) THREADS, and EPOCHS and RATE to depart from the defaults.
import { spawn } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { createRandom } from '../../dist/base/random.js'
import { openDataset } from '../../dist/datasets/open.js'
import { writeTextures } from './textures.mjs'

const [model, recipe, out, ...sets] = process.argv.slice(2)
const setting = (name, value) => process.env[name] ?? value
const seeds = setting('SEEDS', '0').split(',').map(Number)
const strategies = setting('STRATEGIES', 'head,last,all').split(',').filter(Boolean)
const flags = ['EPOCHS', 'RATE', 'THREADS'].map((name) => [`--${name.toLowerCase()}`, process.env[name]])
/** Those of the settings that the command takes. */
const flagsFor = (...names) => flags.flatMap(([flag, value]) => (value && names.includes(flag) ? [flag, value] : []))
const bin = new URL('../../bin/fc7.js', import.meta.url).pathname

/**
 * Runs a shell's line, `fc7` being the built command, and returns its JSON document and its seconds; a document that is
 * kept from the same line is not computed again.
 */
async function fc7(kept, line) {
  const held = await readFile(kept, 'utf8').catch(() => undefined)
  if (held && JSON.parse(held).line === line) return JSON.parse(held)
  const started = performance.now()
  const child = spawn('sh', [
    '-c',
    `fc7() { exec ${quoted(process.execPath)} ${quoted(bin)} "$@"; }; ${line} --json --quiet`,
  ])
  const text = { out: '', err: '' }
  child.stdout.on('data', (part) => (text.out += part))
  child.stderr.on('data', (part) => (text.err += part))
  const code = await new Promise((done) => child.on('close', done))
  if (code !== 0) throw new Error(`${line}: ${text.err}`)
  const done = { line, seconds: (performance.now() - started) / 1000, result: JSON.parse(text.out) }
  await writeFile(kept, JSON.stringify(done))
  return done
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`

/** The better of the classical trainers, by layer. */
function byLayer({ tables, results }) {
  const best = {}
  for (const { table, trainer, metrics } of results) {
    const { layer } = tables.find(({ key }) => key === table)
    if (['linear-svm', 'logistic'].includes(trainer)) best[layer] = Math.max(best[layer] ?? 0, metrics.accuracy.value)
  }
  return best
}

/** Copies the seeded part; a set without a test split gives one. */
async function cut(from, to, { train, test, seed }) {
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
for (const set of sets)
  for (const seed of seeds) {
    const [name, rest] = set.split('=')
    const [, given, train, test] = /^(.*?)@(\d+)\/(\d+)$/.exec(rest) ?? [null, rest, '40', '40']
    const work = resolve(out, `${name}-${seed}`)
    const images = join(work, 'images')
    await mkdir(work, { recursive: true })
    if (!(await readFile(join(work, 'cut')).catch(() => undefined))) {
      await rm(images, { recursive: true, force: true })
      const source = given || join(work, 'made')
      if (!given) await writeTextures(source, Number(train) + Number(test), seed)
      await cut(source, images, { train: Number(train), test: Number(test), seed })
      await writeFile(join(work, 'cut'), '')
    }
    const words = (...args) => args.map((arg) => (/^[\w./:@,=-]+$/.test(arg) ? arg : quoted(arg))).join(' ')
    const common = ['--model', resolve(model), '--recipe', recipe, ...flagsFor('--threads')]
    const run = (file, ...args) => fc7(join(work, file), `fc7 ${words(...args, '--seed', String(seed))}`)
    await rm(join(work, 'advice.json'), { force: true })
    const advised = await run('advice.json', 'advise', images, ...common, ...flagsFor('--epochs'))
    const { advice } = advised.result
    const layers = advice.layers.flatMap(({ name }) => ['--layer', name])
    const frozen = ['--trainers', 'linear-svm,logistic', '--out', join(work, 'layers')]
    const compared = await run('layers.json', 'compare', images, ...common, ...layers, ...frozen)
    const embeddings = byLayer(compared.result)
    const accuracy = { embeddings: embeddings[advice.backbone.layer] }
    const trainAccuracy = {}
    const seconds = { embeddings: compared.seconds }
    // The advised command as it stands, but for where it writes.
    const next = advice.verdict.command.replace(/ --out \w+$/, '')
    const into = join(work, 'advised')
    const force = next.startsWith('fc7 finetune') ? ' --force' : ''
    const followed = await fc7(join(work, 'advised.json'), `${next}${force} --out ${quoted(into)} --seed ${seed}`)
    accuracy.advised = followed.result.accuracy ?? Math.max(...Object.values(byLayer(followed.result)))
    seconds.advised = followed.seconds
    for (const strategy of strategies) {
      const more = ['--strategy', strategy, ...flagsFor('--epochs', '--lr'), '--force', '--out', join(work, strategy)]
      const tuned = await run(`${strategy}.json`, 'finetune', images, ...common, ...more)
      accuracy[strategy] = tuned.result.accuracy
      trainAccuracy[strategy] = tuned.result.history.at(-1).trainAccuracy
      seconds[strategy] = tuned.seconds
    }
    const tested = compared.result.results[0].predictions
    const copied = (await readdir(images, { recursive: true, withFileTypes: true })).filter((one) => one.isFile())
    if (copied.length !== tested + advice.data.images) throw new Error(`${name}: images were lost, perhaps to slowness`)
    const line = {
      name,
      seed,
      images: advice.data.images,
      tested,
      verdict: advice.verdict.strategy,
      confidence: advice.verdict.confidence,
      command: advice.verdict.command,
      doubts: advice.verdict.doubts,
      votes: advice.verdict.votes,
      probe: advice.probe.accuracy,
      layers: advice.layers.map((layer) => [layer.name, Number(layer.accuracy.toFixed(3)), layer.p]),
      embeddings,
      accuracy,
      trainAccuracy,
      seconds,
      adviceSeconds: advised.seconds,
      estimated: Object.fromEntries(advice.cost.map((row) => [row.strategy, row.seconds])),
    }
    lines.push(line)
    console.log(JSON.stringify(line))
  }
const percent = (value) => (100 * value).toFixed(1)
const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length
const shown = ['advised', 'embeddings', ...strategies]
console.log(
  `\n| data set | training images | tested | probe | verdict (confidence), a seed each | ${shown.join(' | ')} |\n| --- | --: | --: | --: | --- |${shown.map(() => ' --: |').join('')}`,
)
for (const name of new Set(lines.map((line) => line.name))) {
  const own = lines.filter((line) => line.name === name)
  const verdicts = [...new Set(own.map(({ verdict, confidence }) => `${verdict} (${confidence})`))].join(', ')
  const means = shown.map((key) => percent(mean(own.map(({ accuracy }) => accuracy[key]))))
  const probe = percent(mean(own.map((line) => line.probe)))
  console.log(`| ${name} | ${own[0].images} | ${own[0].tested} | ${probe} | ${verdicts} | ${means.join(' | ')} |`)
}
