import { createTheme } from '@mantine/core'

// The look is in styles/ and beside each component. Mantine's variables come from its stylesheet, not from style elements made at run time, so that the
// content security policy can be style-src 'self'.
export const theme = createTheme({
  autoContrast: true,
  cursorType: 'pointer',
  components: {
    Button: { defaultProps: { variant: 'default', size: 'xs' } },
    TextInput: { defaultProps: { size: 'xs' } },
    Textarea: { defaultProps: { size: 'xs' } },
    Select: { defaultProps: { size: 'xs', checkIconPosition: 'right' } },
    Autocomplete: { defaultProps: { size: 'xs' } },
    Checkbox: { defaultProps: { size: 'xs' } },
    SegmentedControl: { defaultProps: { size: 'xs', transitionDuration: 0 } },
  },
})
