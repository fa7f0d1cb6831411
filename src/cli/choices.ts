/** Values of options that several commands share. */
export const resizeModes = ['exact', 'fast'] as const
export const poolings = ['avg', 'max', 'none'] as const
export const providerNames = ['auto', 'cpu', 'cuda', 'webgpu'] as const
