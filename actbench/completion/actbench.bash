# Completion of actbench in bash: eval "$(actbench completion bash)"
_actbench_completion() {
    local IFS=$'\n'
    COMPREPLY=($(COMP_WORDBREAKS="$COMP_WORDBREAKS" _ACTBENCH_COMPLETE=bash "$1" "${COMP_LINE:0:$COMP_POINT}" 2>/dev/null))
}
complete -o nospace -F _actbench_completion actbench
