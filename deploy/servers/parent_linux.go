package servers

import "syscall"

// dieWithParent makes the kernel end a server when the test that started it is gone.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
