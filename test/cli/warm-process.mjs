// Runs the built command again and again in one process, for tests that do not ask about the process: see fc7Warm in
// run.ts. bin/fc7.js is loaded anew for each run; what it imports stays loaded.
import { setTimeout as wait } from 'node:timers/promises'

const bin = new URL('../../bin/fc7.js', import.meta.url)
const home = process.cwd()
const surroundings = { ...process.env }
/** A process of its own would have ended by now, were nothing left to wait for. */
const patienceMs = 10_000
let runs = 0

const setEnv = (env) => {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name]
  Object.assign(process.env, env)
}

/** What keeps a process from ending, beside the streams that it writes to and files that are being closed. */
const busy = () => process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap' && name !== 'CloseReq')

async function run({ args, cwd, env }) {
  setEnv({ ...surroundings, ...env })
  process.chdir(cwd ?? home)
  process.argv = [process.execPath, bin.pathname, ...args]
  process.exitCode = undefined
  try {
    await import(`${bin.href}?run=${runs++}`)
    const startedMs = Date.now()
    for (let pause = 1; busy().length > 0; pause = Math.min(50, 2 * pause)) {
      if (Date.now() - startedMs > patienceMs) throw new Error(`the process would not end: ${busy().join(', ')} remain`)
      await wait(pause, undefined, { ref: false })
    }
    return process.exitCode ?? 0
  } finally {
    process.exitCode = undefined
    process.chdir(home)
    setEnv(surroundings)
  }
}

let last = Promise.resolve()
process.on('message', (request) => {
  last = last.then(async () => {
    let code = 'failed'
    try {
      code = await run(request)
    } catch (error) {
      process.stderr.write(`${error.stack}\n`)
    }
    // Ends what this run wrote, on the same pipes as it.
    process.stdout.write(`\0${code}\n`)
    process.stderr.write('\0\n')
  })
})
process.on('disconnect', () => process.exit())
