import { describe, expect, it } from '@jest/globals'
import { renderReport } from '../../src/report/report.js'
import { madeInput, plainClasses } from '../fixtures/report/made.js'

describe('the report', () => {
  it('stands alone, keeps hostile names as text and is the same twice', async () => {
    const input = await madeInput({ rows: 70 })
    const one = await renderReport(input)
    const two = await renderReport(await madeInput({ rows: 70 }))
    expect(two.html === one.html).toBe(true)
    expect(one.html.match(/<script/g)).toHaveLength(2)
    for (const text of ['<img', 'onerror="', '\u202e', '\u001b']) expect(one.html).not.toContain(text)
    expect(one.html).not.toMatch(/(?:src|href)="(?!#)/)
    expect(one.html).toContain("default-src 'none'")
    expect(one.html).toContain('\\u202Eto left')
    expect(one.html.match(/class="chart"/g)!.length).toBeGreaterThan(15)
    expect(one.record.verdict.kind).toBe('tie')
    expect(one.markdown).not.toContain('<script>')
    expect(one.markdown).not.toMatch(/(?<!\\)\]\(javascript/)
    const detail = one.record.details[0]!
    expect(detail.confusion.flat().reduce((a, b) => a + b, 0)).toBe(70)
    expect(detail.right).toBe(detail.confusion.reduce((sum, row, c) => sum + row[c]!, 0))
  })

  it('names a winner only when every lead holds', async () => {
    const { record } = await renderReport(await madeInput({ rows: 84, classes: plainClasses, tie: false }))
    expect(record.verdict.kind).toBe('winner')
    expect(record.verdict.headline).toMatch(/wins\.$/)
  })

  it('refuses input that contradicts itself', async () => {
    const input = await madeInput({ rows: 30 })
    await expect(renderReport({ ...input, primaryMetric: 'nothing' })).rejects.toMatchObject({ code: 'REPORT_INPUT' })
  })
})
