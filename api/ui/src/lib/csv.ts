const quoted = (v: string): string => {
  // A spreadsheet would take these for formulas.
  const safe = /^[=+@\t\r]/.test(v) || (v.startsWith('-') && Number.isNaN(Number(v))) ? `'${v}` : v
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe
}

/** Rows as CSV. */
export const csvText = (rows: readonly (readonly string[])[]): string => `${rows.map((r) => r.map(quoted).join(',')).join('\r\n')}\r\n`
