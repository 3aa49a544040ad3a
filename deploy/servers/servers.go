// Package servers starts real servers on loopback for integration tests: Apache Kafka, the OpenTelemetry Collector, and whatever
// else setup.sh put into the folder run. Each is a process of its own, so that it can be killed as a machine's failure would.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a started server.
type Process struct {
	Name string
	Log  string // file of its stdout and stderr
	Pid  int

	cmd  *exec.Cmd
	done chan struct{}
}

// Spec says what to start.
type Spec struct {
	Name string
	Path string
	Args []string
	Env  []string // added to PATH and HOME alone: nothing of the caller's environment changes what a server does
	Dir  string   // of the log file; also the working folder
}

// Start starts a process; its log file is appended to when it exists.
func Start(s Spec) (*Process, error) {
	if err := os.MkdirAll(s.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	p := &Process{Name: s.Name, Log: filepath.Join(s.Dir, s.Name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	defer out.Close()
	p.cmd = exec.Command(s.Path, s.Args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.Dir, out, out
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, s.Env...)
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("servers: start %s: %w", s.Name, err)
	}
	p.Pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ExitCode is that of an ended process, -1 when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Kill ends the process as `kill -9` does and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended
	<-p.done
}

// Stop asks the process to end; after the time it is killed.
func (p *Process) Stop(after time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.done:
	case <-time.After(after):
		p.Kill()
	}
}

// Output is everything that the process has written.
func (p *Process) Output() string {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Tail is the last lines of the output.
func (p *Process) Tail(lines int) string {
	all := strings.Split(strings.TrimRight(p.Output(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// WaitFor polls ok until it returns nil, the process ends or the context does.
func (p *Process) WaitFor(ctx context.Context, ok func() error) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("servers: %s ended with exit code %d:\n%s", p.Name, p.ExitCode(), p.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("servers: %s: %w:\n%s", p.Name, errors.Join(ctx.Err(), err), p.Tail(20))
		case <-t.C:
		}
	}
}
