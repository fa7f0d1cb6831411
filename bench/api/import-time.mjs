// What `import 'fc7'` and `fc7 --help` cost, beside starting bare Node, in one run: medians over processes that take turns.
//
//   node bench/api/import-time.mjs [rounds, default 15]
//
// The import's own time is read inside its process; the other two are whole processes, from start to exit.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const rounds = Number(process.argv[2] ?? 15)
const root = new URL('../../', import.meta.url)
const index = new URL('dist/index.js', root).href
const command = fileURLToPath(new URL('bin/fc7.js', root))
const importing = `const from = performance.now(); await import('${index}'); console.log(performance.now() - from)`

function run(...args) {
  const from = performance.now()
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return { ms: performance.now() - from, stdout }
}

const times = { node: [], import: [], help: [] }
for (let i = 0; i < rounds; i++) {
  times.node.push(run('-e', '0').ms)
  times.import.push(Number(run('--input-type=module', '-e', importing).stdout))
  times.help.push(run(command, '--help').ms)
}
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const bare = median(times.node)
console.log(`bare node      ${bare.toFixed(0)} ms, from start to exit`)
console.log(
  `import 'fc7'   ${median(times.import).toFixed(0)} ms, ${(median(times.import) / bare).toFixed(2)} × bare node`,
)
console.log(`fc7 --help     ${median(times.help).toFixed(0)} ms, ${(median(times.help) / bare).toFixed(2)} × bare node`)
