// A plan compiler in one file: `planc compile PLAN OUTPUT` writes a copy of itself with the plan behind it,
// and a copy that finds a plan behind itself runs it (docs/runner-contract.md says what it then has to write).
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const magic = "PLANC-1\n"

type task struct {
	ID     string            `json:"task_id"`
	Name   string            `json:"name"`
	Module string            `json:"module"`
	Args   map[string]string `json:"args"`
}

type plan struct {
	Metadata struct {
		PlanID string `json:"plan_id"`
	} `json:"metadata"`
	Plays []struct {
		Batches []struct {
			Tasks []task `json:"tasks"`
		} `json:"batches"`
	} `json:"plays"`
}

type outcome struct {
	changed bool
	stdout  string
	rc      int
	err     error
}

func main() {
	itself, err := os.Executable()
	check(err)
	program, err := os.ReadFile(itself)
	check(err)
	if text := embedded(program); text != nil {
		os.Exit(run(text))
	}
	if len(os.Args) != 4 || os.Args[1] != "compile" {
		fmt.Fprintln(os.Stderr, "usage: planc compile PLAN OUTPUT")
		os.Exit(2)
	}
	text, err := os.ReadFile(os.Args[2])
	check(err)
	check(json.Unmarshal(text, &plan{})) // what it cannot read is refused here, not on the host
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(text)))
	check(os.WriteFile(os.Args[3], bytes.Join([][]byte{program, text, length[:], []byte(magic)}, nil), 0o755))
}

func embedded(program []byte) []byte {
	end := len(program) - len(magic) - 8
	if end < 0 || string(program[end+8:]) != magic {
		return nil
	}
	length := int(binary.LittleEndian.Uint64(program[end:]))
	return program[end-length : end]
}

func run(text []byte) int {
	var found plan
	check(json.Unmarshal(text, &found))
	began := time.Now()
	counts := map[string]int{"ok": 0, "changed": 0, "failed": 0, "skipped": 0}
	for _, play := range found.Plays {
		for _, batch := range play.Batches {
			for _, one := range batch.Tasks {
				if counts["failed"] == 0 {
					counts[perform(one)]++
				}
			}
		}
	}
	digest := sha256.Sum256(text)
	report := map[string]any{"type": "report", "host": host(), "plan_id": found.Metadata.PlanID, "exit_code": counts["failed"],
		"payload_sha256": hex.EncodeToString(digest[:]), "start": began.Format(time.RFC3339Nano), "duration": time.Since(began).Seconds()}
	for status, count := range counts {
		report[status] = count
	}
	write(report)
	return counts["failed"]
}

func perform(one task) string {
	write(map[string]any{"type": "start", "task_id": one.ID})
	began := time.Now()
	done := modules[one.Module](one.Args)
	status := "ok"
	message := ""
	if done.err != nil {
		status, message = "failed", done.err.Error()
	} else if done.changed {
		status = "changed"
	}
	write(map[string]any{"type": "task", "task_id": one.ID, "name": one.Name, "module": one.Module, "status": status, "msg": message,
		"stdout": done.stdout, "rc": done.rc, "start": began.Format(time.RFC3339Nano), "duration": time.Since(began).Seconds()})
	return status
}

var modules = map[string]func(map[string]string) outcome{
	"shell": func(args map[string]string) outcome {
		if path := args["creates"]; path != "" {
			if _, err := os.Stat(path); err == nil {
				return outcome{}
			}
		}
		command := exec.Command("/bin/sh", "-c", args["cmd"])
		stdout, err := command.Output()
		return outcome{changed: true, stdout: strings.TrimRight(string(stdout), "\n"), rc: command.ProcessState.ExitCode(), err: err}
	},
	"copy": func(args map[string]string) outcome {
		if before, err := os.ReadFile(args["dest"]); err == nil && string(before) == args["content"] {
			return outcome{}
		}
		return outcome{changed: true, err: os.WriteFile(args["dest"], []byte(args["content"]), 0o644)}
	},
}

func host() string {
	for at, word := range os.Args {
		if word == "--host" && at+1 < len(os.Args) {
			return os.Args[at+1]
		}
	}
	return ""
}

func write(record map[string]any) {
	line, err := json.Marshal(record)
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "planc:", err)
		os.Exit(2)
	}
}
