import type { ExecutionProvider } from './contract.js'

export const webgpu: ExecutionProvider = {
  id: 'webgpu',
  title: 'WebGPU',
  sessionProviders: ['webgpu', 'cpu'],
  speedRank: 1,
  maxBatch: 64,
  fix: () =>
    'WebGPU needs a GPU with a Vulkan, Metal or Direct3D 12 driver: install the driver, or use --provider cpu.',
}
