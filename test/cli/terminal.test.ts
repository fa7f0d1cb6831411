import { describe, expect, it } from '@jest/globals'
import { terminalProgress } from '../../src/cli/terminal.js'

function screen(columns?: number) {
  const written: string[] = []
  let nowMs = 0
  const stream = { write: (text: string) => void written.push(text), ...(columns ? { isTTY: true, columns } : {}) }
  return { progress: terminalProgress(stream, () => nowMs), written, wait: (ms: number) => void (nowMs += ms) }
}
const training = { label: 'Training last', total: 200, unit: 'steps' }
const note = 'loss 0.5883, accuracy 0.912, 33 images/s'

describe('progress', () => {
  it('off a terminal is a line every ten seconds, with rate and time left', () => {
    const { progress, written, wait } = screen()
    const task = progress.task(training)
    for (const done of [10, 20, 30]) {
      wait(5000)
      task.update(done, note)
    }
    expect(written).toEqual([`Training last  20 of 200 steps  2.0 steps/s, 1 min 30 s left  ${note}\n`])
    task.end()
    expect(written[1]).toBe('Training last  30 steps  2.0 steps/s, 15 s\n')
  })

  it('of a resumed run counts what this run did', () => {
    const { progress, written, wait } = screen()
    const task = progress.task({ ...training, from: 150 })
    wait(10_000)
    task.update(160)
    expect(written).toEqual(['Training last  160 of 200 steps  1.0 steps/s, 40 s left\n'])
  })

  it.each([70, 100, 120, 160])(
    'on a terminal of %d columns never wraps, and gives up its bar before its words',
    (columns) => {
      const { progress, written, wait } = screen(columns)
      const task = progress.task(training)
      wait(10_000)
      task.update(100, note)
      const line = written.at(-1)!
      const text = `Training last  100 of 200 steps  10 steps/s, 10 s left  ${note}`
      expect(line.length).toBeLessThan(columns)
      if (columns < text.length) expect(text.startsWith(line)).toBe(true)
      else expect(line.endsWith(text)).toBe(true)
      const bar = /^(█*)(░*) /.exec(line)
      if (columns >= 160) expect([bar?.[1]?.length, bar?.[2]?.length]).toEqual([12, 12])
      if (columns === 120) expect(bar?.[1]?.length).toBeGreaterThan(0)
    },
  )
})
