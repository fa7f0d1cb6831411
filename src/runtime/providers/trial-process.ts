// Run as its own process by tryProvider(): a GPU library may print, hang or crash, and must not take fc7 with it.
import { probeProvider } from './probe.js'
import { getProvider } from './registry.js'

const trial = await probeProvider(getProvider(process.argv[2] ?? ''))
process.send?.(trial, () => process.exit(0))
