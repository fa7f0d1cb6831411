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

  it('asks for at most 300 larger images, the most needed first, and stays below 5 MB with them', async () => {
    const input = await madeInput({ rows: 320, distinctThumbnails: 9, classes: plainClasses })
    const { embedding: _, ...dataset } = input.datasets[0]!
    const asked: string[] = []
    // Larger than any real preview, so that the budget has to end it.
    const bytes = new Uint8Array(30_000)
    bytes.set(Buffer.from('RIFF....WEBP'))
    const readImages = async (ids: readonly string[]) => {
      asked.push(...ids)
      return new Map(ids.slice(0, -1).map((id) => [id, bytes]))
    }
    const { html, record } = await renderReport({
      ...input,
      candidates: input.candidates.slice(0, 1),
      datasets: [{ ...dataset, readImages }],
    })
    expect(asked.length).toBe(300)
    const [best] = record.details
    expect(asked.slice(0, best!.mistakes.length)).toEqual(best!.mistakes.map(({ id }) => id))
    for (const { id } of record.suspects) expect(asked).toContain(id)
    for (const { idA, idB } of record.duplicates) expect(asked).toEqual(expect.arrayContaining([idA, idB]))
    expect(Buffer.byteLength(html)).toBeLessThan(5_000_000)
    const shown = Number(/(\d+) of 320 images are larger/.exec(record.limits.join(' '))?.[1])
    expect(shown).toBeGreaterThan(20)
    expect(shown).toBeLessThan(299)
  })

  it('names a winner only when every lead holds', async () => {
    const { record } = await renderReport(await madeInput({ rows: 84, classes: plainClasses, tie: false }))
    expect(record.verdict.kind).toBe('winner')
    expect(record.verdict.headline).toMatch(/wins\.$/)
  })

  it('of several data sets says where there is a winner, and names candidates with their data set', async () => {
    const input = await madeInput({ rows: 42, classes: plainClasses, tie: false })
    const { embedding: _, ...first } = input.datasets[0]!
    const second = { ...first, name: 'the other' }
    const twins = input.candidates.map((one) => ({ ...one, id: `${one.id} too`, dataset: 1 }))
    const { record, html, markdown } = await renderReport({
      ...input,
      datasets: [first, second],
      candidates: [...input.candidates, ...twins],
    })
    expect(record.verdict.headline).toBe(
      `On ${first.name} ${record.details[0]!.title.split(',')[0]} wins. No clear winner on the other.`,
    )
    expect(new Set(record.ranking.map(({ title }) => title)).size).toBe(input.candidates.length)
    expect(record.details.at(-1)!.title).toMatch(/, the other$/)
    expect(html).not.toContain(' (2)')
    expect(markdown).toContain('the other: 1. ')
    // On paper: the two best of each.
    const printed = html.match(/<details class="cand" id="trainer-\d+"(?: open)?>/g)!
    expect(printed.length).toBe(4)
  })

  it('refuses input that contradicts itself', async () => {
    const input = await madeInput({ rows: 30 })
    await expect(renderReport({ ...input, primaryMetric: 'nothing' })).rejects.toMatchObject({ code: 'REPORT_INPUT' })
  })
})
