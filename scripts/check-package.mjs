// Packs fc7, installs the tarball into an empty folder as a user would, and runs `fc7 doctor` there. Where
// onnxruntime-node's CUDA download is blocked, npm leaves that optional package out; then doctor's own fix is tried as
// well. Then the programs of docs/api.md are compiled there, strictly and with the declarations of libraries, and run.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { transformSync } from '@swc/core'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = mkdtempSync(join(tmpdir(), 'fc7-package-'))

function run(command, args, cwd, allowed = [0], env = {}) {
  const done = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    env: { ...process.env, ...env },
  })
  if (!allowed.includes(done.status)) {
    console.error(`${command} ${args.join(' ')} ended with ${done.status}\n${done.stdout}\n${done.stderr}`)
    process.exitCode = 1
    throw new Error('the packed package does not work')
  }
  return done.stdout
}

const script = (code) =>
  transformSync(code, { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } }).code

/** The network and the images that the programs name, made with what the installed package holds. */
function writeExamples() {
  const own = pathToFileURL(join(folder, 'node_modules', 'fc7', 'dist')).href
  const tiny = script(readFileSync(join(root, 'test', 'support', 'tiny.ts'), 'utf8')).replaceAll('../../src', own)
  writeFileSync(join(folder, 'tiny.mjs'), tiny)
  const code = `import { writeFileSync } from 'node:fs'
    import { tinyModel, writeTinyImages } from './tiny.mjs'
    writeFileSync('tiny.onnx', tinyModel())
    await writeTinyImages('photos', { train: 8, test: 4 })`
  run(process.execPath, ['--input-type=module', '-e', code], folder)
}

/** Compiles the programs of docs/api.md, then runs them in their order: each uses what those before it wrote. */
function checkPrograms() {
  const given = "const model: string = 'tiny.onnx'\nconst recipe: string = 'torchvision'\n"
  const text = readFileSync(join(root, 'docs', 'api.md'), 'utf8')
  const programs = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => given + code)
  if (programs.length !== 10) throw new Error(`docs/api.md holds ${programs.length} programs, not 10`)
  const names = programs.map((_, i) => `program${i + 1}.mts`)
  for (const [i, code] of programs.entries()) writeFileSync(join(folder, names[i]), code)
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const strict = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node']
  run(process.execPath, [tsc, ...strict, ...names], folder)
  writeExamples()
  for (const [i, code] of programs.entries()) {
    const path = join(folder, `program${i + 1}.mjs`)
    writeFileSync(path, script(code))
    run(process.execPath, [path], folder, [0], { FC7_CACHE: join(folder, 'cache') })
  }
  console.log(`the ${programs.length} programs of docs/api.md compile there under --strict, and run`)
}

try {
  const [{ filename, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
  )
  const strays = files.map((file) => file.path).filter((path) => /^(src|test|bench|node_modules)\//.test(path))
  if (strays.length > 0) throw new Error(`the package holds ${strays[0]}`)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  run('npm', ['install', '--no-audit', '--no-fund', join(folder, filename)], folder)
  const version = run('npx', ['--no-install', 'fc7', '--version'], folder).trim()
  // 1 is right where the optional runtime could not be installed: doctor then says how.
  const doctor = JSON.parse(run('npx', ['--no-install', 'fc7', 'doctor', '--json'], folder, [0, 1]))
  const runtime = doctor.checks.find((check) => check.name === 'onnxruntime-node')
  console.log(
    `fc7 ${version} packed with ${files.length} files; installed elsewhere, doctor says onnxruntime-node: ${runtime.found}`,
  )
  if (!runtime.ok) {
    // The fix that doctor names must work, letter by letter.
    const fix = /(\w+)=(\w+) npm install (\S+)/.exec(runtime.fix ?? '')
    if (!fix) throw new Error('doctor does not say how to install onnxruntime-node')
    run('npm', ['install', '--no-audit', '--no-fund', fix[3]], folder, [0], { [fix[1]]: fix[2] })
    const after = JSON.parse(run('npx', ['--no-install', 'fc7', 'doctor', '--json'], folder))
    if (!after.ready) throw new Error('doctor is not content after its own fix')
    console.log(`after \`${fix[0]}\` doctor says: ready`)
  }
  checkPrograms()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
