import { Button } from '@mantine/core'
import type { LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'
import { Link } from 'wouter'

interface Props {
  href: string
  children: ReactNode
  icon?: LucideIcon
  primary?: boolean
  label?: string
  title?: string
}

/** A link that is an action: it looks as a button does. */
export function LinkButton({ href, children, icon: Icon, primary = false, label, title }: Props) {
  return (
    <Button
      component={Link}
      href={href}
      variant={primary ? 'filled' : 'default'}
      leftSection={Icon && <Icon size={14} aria-hidden="true" />}
      aria-label={label}
      title={title}
    >
      {children}
    </Button>
  )
}
