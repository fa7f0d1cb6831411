import { availableParallelism, cpus, totalmem } from 'node:os'

/** Facts about this machine that a run records. */
export interface MachineFacts {
  readonly platform: string
  readonly arch: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly node: string
}

export function machineFacts(): MachineFacts {
  return {
    platform: process.platform,
    arch: process.arch,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    // A container's limit counts, where Node knows it.
    memoryBytes: Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY),
    node: process.versions.node,
  }
}

export interface ThreadSplit {
  readonly inference: number
  readonly decode: number
}

/**
 * Splits a total budget of threads. Inference gets all of them and decoding runs beside it in the gaps: with spinning off,
 * a decoder that waits costs nothing, and one decoder per two threads feeds every backbone measured (bench/extract).
 */
export function splitThreads(total: number, decode?: number): ThreadSplit {
  return { inference: Math.max(1, total), decode: Math.max(1, decode ?? Math.ceil(total / 2)) }
}
