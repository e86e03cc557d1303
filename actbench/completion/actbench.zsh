#compdef actbench
# Completion of actbench in zsh: eval "$(actbench completion zsh)", behind compinit
_actbench_completion() {
    local line word text
    local -a open closed open_shown closed_shown
    for line in "${(@f)$(_ACTBENCH_COMPLETE=zsh "${(Q)words[1]}" "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        text=${line#*$'\t'}
        [[ -z $word ]] && continue
        [[ $text == $line ]] && text=$word || text="$word  -- $text"
        if [[ $word == *[=,/.:] ]]; then
            open+=("$word") open_shown+=("$text")
        else
            closed+=("$word") closed_shown+=("$text")
        fi
    done
    (( $#open )) && compadd -l -S '' -d open_shown -a open
    (( $#closed )) && compadd -l -d closed_shown -a closed
}
compdef _actbench_completion actbench
