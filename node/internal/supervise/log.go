package supervise

import (
	"os"
	"sync"
)

// maxLog is the size at which a log is turned over; one older piece is kept.
const maxLog = 16 << 20

// Log is a file that turns itself over.
type Log struct {
	mutex sync.Mutex
	path  string
	file  *os.File
	size  int64
	limit int64
}

// OpenLog appends to the file.
func OpenLog(path string) (*Log, error) {
	log := &Log{path: path, limit: maxLog}
	return log, log.open()
}

func (l *Log) open() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	l.file, l.size = file, info.Size()
	return nil
}

func (l *Log) Write(text []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.size+int64(len(text)) > l.limit {
		if err := l.file.Close(); err != nil {
			return 0, err
		}
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return 0, err
		}
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(text)
	l.size += int64(n)
	return n, err
}

// Close the file.
func (l *Log) Close() error { return l.file.Close() }
