import { describe, expect, it } from '@jest/globals'
import { turnTaker } from '../../src/base/turns.js'

describe('turnTaker', () => {
  it('lets others have a turn at every call where asked to, and not before the time is up otherwise', async () => {
    let turns = 0
    setImmediate(() => turns++)
    await turnTaker(undefined, 'Work', 60_000)()
    expect(turns).toBe(0)
    await turnTaker(undefined, 'Work', 0)()
    expect(turns).toBe(1)
  })

  it('hears a signal that fires during the turn', async () => {
    const stop = new AbortController()
    setImmediate(() => stop.abort())
    await expect(turnTaker(stop.signal, 'Work', 0)()).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })
})
