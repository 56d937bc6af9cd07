// Package supervise keeps a node's programs running: each is started when what it needs answers, started again with a growing pause when it
// ends, and ended with its supervisor, however that one ends.
package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	firstPause = 200 * time.Millisecond
	lastPause  = 10 * time.Second
	// After running this long a program counts as well again.
	stable = 20 * time.Second
	// How long a program may take to end before it is killed.
	grace = 8 * time.Second
)

// Program is one supervised child.
type Program struct {
	Name string
	Args []string
	Env  []string
	// Needs waits until what the program needs answers; nil when it needs nothing.
	Needs func(context.Context) error
	// Last to end, when all others have: they say goodbye to it, or wait in vain to.
	Last bool
}

// State of a program, for people.
type State struct {
	Name     string    `json:"name"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	LastEnd  string    `json:"last_end,omitempty"`
}

// Supervisor of some programs.
type Supervisor struct {
	Logs   string
	Status string
	mutex  sync.Mutex
	states map[string]State
}

// Run keeps the programs running until the context ends, then ends them all.
func (s *Supervisor) Run(ctx context.Context, programs []Program) error {
	if err := os.MkdirAll(s.Logs, 0o700); err != nil {
		return err
	}
	s.states = map[string]State{}
	end, endLast := context.WithCancel(context.WithoutCancel(ctx))
	defer endLast()
	var others, last sync.WaitGroup
	for _, program := range programs {
		if program.Last {
			last.Go(func() { s.keep(end, program) })
		} else {
			others.Go(func() { s.keep(ctx, program) })
		}
	}
	// Without others it is still the context that says when.
	<-ctx.Done()
	others.Wait()
	endLast()
	last.Wait()
	return nil
}

func (s *Supervisor) keep(ctx context.Context, program Program) {
	// The kernel ends a child with the thread that started it (Pdeathsig): the thread must live as long as the child.
	runtime.LockOSThread()
	pause := firstPause
	for restarts := 0; ctx.Err() == nil; restarts++ {
		if program.Needs != nil {
			if err := program.Needs(ctx); err != nil {
				return
			}
		}
		begun := time.Now()
		err := s.once(ctx, program, restarts)
		if ctx.Err() != nil {
			return
		}
		pause = nextPause(pause, time.Since(begun))
		s.set(State{Name: program.Name, Restarts: restarts + 1, LastEnd: fmt.Sprint(err)})
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// nextPause doubles until the program has been well for a while.
func nextPause(pause, ran time.Duration) time.Duration {
	if ran > stable {
		return firstPause
	}
	return min(2*pause, lastPause)
}

func (s *Supervisor) once(ctx context.Context, program Program, restarts int) error {
	log, err := OpenLog(filepath.Join(s.Logs, program.Name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.CommandContext(ctx, program.Args[0], program.Args[1:]...)
	command.Env = append(os.Environ(), program.Env...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = grace
	if err := command.Start(); err != nil {
		return err
	}
	s.set(State{Name: program.Name, PID: command.Process.Pid, Since: time.Now(), Restarts: restarts})
	return command.Wait()
}

func (s *Supervisor) set(state State) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.states[state.Name] = state
	text, err := json.MarshalIndent(s.states, "", "  ")
	if err == nil {
		err = os.WriteFile(s.Status+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(s.Status+".new", s.Status)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "writing the status:", err)
	}
}

// Read the status that a supervisor wrote.
func Read(path string) (map[string]State, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	states := map[string]State{}
	return states, json.Unmarshal(text, &states)
}
