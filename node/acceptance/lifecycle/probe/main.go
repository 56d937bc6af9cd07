// Command probe runs inside the pods of the lifecycle acceptance test. Without words it serves its pod's name; with words it does one thing
// inside the pod, for `kubectl exec`.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func do(words []string) error {
	switch {
	case len(words) == 0:
		return serve()
	case words[0] == "write" && len(words) == 3:
		return write(words[1], words[2])
	case words[0] == "read" && len(words) == 2:
		content, err := os.ReadFile(words[1])
		fmt.Print(string(content))
		return err
	case words[0] == "fill" && len(words) == 3:
		return fill(words[1], words[2])
	case words[0] == "get" && len(words) == 2:
		return get(words[1])
	case words[0] == "born" && len(words) == 1:
		return born()
	default:
		return fmt.Errorf("unknown words %q", words)
	}
}

func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
}

// write returns when the text is on the disk.
func write(path, text string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// fill writes that many bytes, or as many as the disk takes, says how many and whether the disk was full, and takes them away again.
func fill(path, bytes string) error {
	wanted, err := strconv.Atoi(bytes)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	written, block := 0, make([]byte, 1<<20)
	for err == nil && written < wanted {
		var n int
		n, err = file.Write(block)
		written += n
	}
	fmt.Println(written, errors.Is(err, syscall.ENOSPC))
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, file.Close(), os.Remove(path))
}

func get(url string) error {
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return errors.Join(err, response.Body.Close())
}

// born prints when the container's first process began: field 22 of its stat, which is another one after any restart.
func born() error {
	stat, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fmt.Print(strings.Fields(after)[19])
	return nil
}
