import { describe, expect, it } from '@jest/globals'
import { isAborted, throwIfAborted } from '../../src/base/errors.js'
import { deadline } from '../../src/trainers/deadline.js'

/** A clock that the test moves. */
function clock() {
  let ms = 5000
  return { now: () => ms, pass: (more: number) => void (ms += more) }
}

const codeOf = (act: () => void): string | undefined => {
  try {
    act()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

describe('a deadline', () => {
  it('is heard by a loop that gives the event loop no turn, and says that the time was up', () => {
    const time = clock()
    const { signal, end } = deadline(60, { what: 'A tree', now: time.now })
    const check = () => throwIfAborted(signal, 'Training')
    time.pass(59_999)
    expect([codeOf(check), isAborted(signal)]).toEqual([undefined, false])
    time.pass(1)
    expect(check).toThrow('A tree was not finished after 60 s.')
    expect([codeOf(check), signal.aborted]).toEqual(['TIME_LIMIT', true])
    end()
  })

  it('has one latch: what fires first is the reason for good', () => {
    for (const first of ['outer', 'clock'] as const) {
      const time = clock()
      const outer = new AbortController()
      const { signal, end } = deadline(1, { what: 'A tree', signal: outer.signal, now: time.now })
      const steps = {
        outer: () => outer.abort(),
        clock() {
          time.pass(1000)
          isAborted(signal)
        },
      }
      steps[first]()
      steps[first === 'outer' ? 'clock' : 'outer']()
      const code = first === 'outer' ? 'INTERRUPTED' : 'TIME_LIMIT'
      for (let i = 0; i < 3; i++) expect(codeOf(() => throwIfAborted(signal, 'Training'))).toBe(code)
      end()
    }
  })

  it('tells those who listen, by the checkpoint as by the timer', async () => {
    const time = clock()
    const { signal, end } = deadline(1, { what: 'A tree', now: time.now })
    const heard = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    time.pass(1000)
    isAborted(signal)
    await heard
    end()
    const short = deadline(1e-3, { what: 'A tree', now: () => 0 })
    await new Promise((resolve) => short.signal.addEventListener('abort', resolve, { once: true }))
    expect(codeOf(() => throwIfAborted(short.signal, 'Training'))).toBe('TIME_LIMIT')
    short.end()
  })

  it('leaves the platform’s signal as it is, and refuses a limit that is no time', () => {
    const { signal, end } = deadline(1, { what: 'A tree' })
    expect(Object.getOwnPropertyNames(signal)).not.toContain('aborted')
    end()
    for (const seconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(codeOf(() => deadline(seconds, { what: 'A tree' }))).toBe('USAGE_TIME_LIMIT')
  })
})
