"""The kubelet of the emulator: runs the pods of one node as processes of this machine."""
