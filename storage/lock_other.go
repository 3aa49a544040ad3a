//go:build !unix

package storage

// folderLock does nothing here: Badger's own lock has to do.
type folderLock struct{}

func lockFolder(string) (*folderLock, error) { return &folderLock{}, nil }
func (*folderLock) release() error           { return nil }
