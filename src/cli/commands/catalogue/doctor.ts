import { access, constants, mkdir, statfs } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { messageOf } from '../../../base/errors.js'
import { formatBytes } from '../../../base/text.js'
import { machineFacts } from '../../../runtime/machine.js'
import { loadOrt } from '../../../runtime/ort.js'
import { executionProviders, tryProvider } from '../../../runtime/providers/registry.js'
import { defineCommand } from '../../command.js'

interface Check {
  readonly name: string
  readonly ok: boolean
  readonly found: string
  readonly fix?: string | undefined
}

const require = createRequire(import.meta.url)

/** A version that works even where the package's exports hide its package.json. */
function installedVersion(name: string): Check {
  try {
    const loaded =
      name === 'onnxruntime-node'
        ? loadOrt()
        : (require(name) as { versions?: { sharp?: string | undefined; vips?: string | undefined } })
    const version =
      name === 'onnxruntime-node'
        ? (loaded as ReturnType<typeof loadOrt>).env.versions?.node
        : (loaded as { versions?: { sharp?: string | undefined } }).versions?.sharp
    return { name, ok: true, found: version ?? 'present' }
  } catch (error) {
    const hint = (error as { hint?: string | undefined }).hint
    return { name, ok: false, found: messageOf(error).split('\n')[0]!, fix: hint ?? `npm install ${name}` }
  }
}

async function cacheCheck(folder: string): Promise<Check> {
  try {
    await mkdir(folder, { recursive: true })
    await access(folder, constants.W_OK)
    const { bavail, bsize } = await statfs(folder)
    const freeBytes = bavail * bsize
    const enough = freeBytes > 2e9
    return {
      name: 'cache',
      ok: enough,
      found: `${folder}, ${formatBytes(freeBytes)} free`,
      fix: enough ? undefined : 'Free some space, or choose another folder with --cache or FC7_CACHE.',
    }
  } catch (error) {
    return {
      name: 'cache',
      ok: false,
      found: `${folder}: ${messageOf(error)}`,
      fix: 'Choose a writable folder with --cache or FC7_CACHE.',
    }
  }
}

export const doctor = defineCommand({
  example: ['$0 doctor', 'check Node, onnxruntime-node, execution providers, memory and cache'],
  options: (yargs) => yargs,
  async run(_options, context) {
    const machine = machineFacts()
    const [major = 0, minor = 0] = machine.node.split('.').map(Number)
    const nodeFits = major > 20 || (major === 20 && minor >= 19)
    const runtime = installedVersion('onnxruntime-node')
    const providers: Check[] = []
    for (const provider of executionProviders) {
      const trial = runtime.ok
        ? await tryProvider(provider)
        : ({ works: false, reason: 'onnxruntime-node is missing', fix: runtime.fix ?? '' } as const)
      providers.push({
        name: `provider ${provider.id}`,
        ok: trial.works,
        found: trial.works ? 'creates a session and computes' : trial.reason,
        fix: trial.works ? undefined : trial.fix,
      })
    }
    const checks: Check[] = [
      { name: 'Node', ok: nodeFits, found: machine.node, fix: nodeFits ? undefined : 'Install Node 20.19 or newer.' },
      runtime,
      installedVersion('sharp'),
      ...providers,
      { name: 'cores', ok: true, found: `${machine.cores} (${machine.cpu})` },
      {
        name: 'memory',
        ok: machine.memoryBytes > 2e9,
        found: formatBytes(machine.memoryBytes),
        fix: machine.memoryBytes > 2e9 ? undefined : 'Large backbones may need more; keep --batch-size small.',
      },
      await cacheCheck(context.cacheFolder),
    ]
    // Without a GPU fc7 works: only what every run needs decides.
    const essential = ['Node', 'onnxruntime-node', 'sharp', 'provider cpu', 'cache']
    const ready = checks.every((check) => check.ok || !essential.includes(check.name))
    const lines = checks.flatMap((check) => {
      const mark = check.ok ? '✓' : essential.includes(check.name) ? '✗' : '–'
      return [
        `${mark} ${check.name.padEnd(17)} ${check.found}`,
        ...(check.ok || !check.fix ? [] : [`${' '.repeat(20)}${check.fix}`]),
      ]
    })
    context.result(
      { ready, machine, checks },
      [...lines, '', ready ? 'fc7 is ready.' : 'fc7 cannot run yet: see the lines marked ✗.'].join('\n'),
    )
    if (!ready) process.exitCode = 1
  },
})
