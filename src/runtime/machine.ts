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
  /** Copies of the graph that run batches side by side. */
  readonly sessions: number
  /** Threads inside an operator of each. */
  readonly perSession: number
}

/** A session holds the weights and a repacked copy of most of them. */
const weightCopies = 2.2

/** Share of the memory that the copies of the weights may take. */
const memoryShare = 0.25

const maxSessions = 16

/**
 * The ways to share a budget of threads between sessions, the most promising first: a session a thread, as far as
 * memory holds their weights, then half as many … and last one session with all threads. Pure.
 *
 * On two cores two sessions of one thread were never slower than one of two (bench/extract).
 */
export function threadSplits(threads: number, modelBytes: number, memoryBytes: number): ThreadSplit[] {
  const total = Math.max(1, Math.floor(threads))
  const fitting = Math.floor((memoryBytes * memoryShare) / (weightCopies * Math.max(1, modelBytes)))
  const splits: ThreadSplit[] = []
  for (let sessions = total; sessions > 1; sessions = Math.floor(sessions / 2)) {
    if (sessions <= Math.min(fitting, maxSessions)) splits.push({ sessions, perSession: Math.floor(total / sessions) })
  }
  return [...splits, { sessions: 1, perSession: total }]
}
