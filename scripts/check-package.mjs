// Packs fc7, installs the tarball into an empty folder as a user would, and runs `fc7 doctor` there. Where
// onnxruntime-node's CUDA download is blocked, npm leaves that optional package out; then doctor's own fix is tried as
// well.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

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
} finally {
  rmSync(folder, { recursive: true, force: true })
}
