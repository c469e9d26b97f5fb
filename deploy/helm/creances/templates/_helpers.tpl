{{- define "creances.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "creances.labels" -}}
app.kubernetes.io/name: creances
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What selects the pods of a role: (list $ role). */}}
{{- define "creances.selector" -}}
app.kubernetes.io/name: creances
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "creances.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "creances.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{/* The secrets that a role reads, by key: (role), whose database login is its own. */}}
{{- define "creances.secrets" -}}
{{- $all := list "kiosque_secret_key" "kafka_sasl_password" "kafka_ca" -}}
{{- if eq .name "migrate" -}}
{{- $all = concat $all (list "database_url" "owner_database_url") -}}
{{- else if eq .name "topics" -}}
{{- $all = append $all "database_url" -}}
{{- else -}}
{{- $all = append $all (printf "database_url_%s" .login) -}}
{{- end -}}
{{- if has .name (list "api" "consume-kiosque") -}}
{{- $all = append $all "pseudonym_secret" -}}
{{- end -}}
{{- if has .name (list "api" "sceller") -}}
{{- $all = append $all "preuve_salt" -}}
{{- end -}}
{{- if eq .name "sceller" -}}
{{- $all = append $all "preuve_key" -}}
{{- end -}}
{{- if eq .name "api" -}}
{{- $all = concat $all (list "session_secret" "oidc_client_secret") -}}
{{- end -}}
{{- $everyone := list "kiosque_previous_secret_key" "kiosque_merchants" "kiosque_retired_merchants" -}}
{{- range .root.Values.moreSecrets -}}
{{- if or (has . $everyone) (and (eq . "pseudonym_previous_secret") (has $.name (list "api" "consume-kiosque"))) (and (has . (list "session_previous_secret" "smtp_password")) (eq $.name "api")) -}}
{{- $all = append $all . -}}
{{- else if not (has . (list "pseudonym_previous_secret" "session_previous_secret" "smtp_password")) -}}
{{- fail (printf "moreSecrets : %s n'est lu par aucun rôle" .) -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

{{/* The container of a role or a job: (dict "root" $ "name" … "command" … "login" … "resources" …), without probes. */}}
{{- define "creances.container" -}}
{{- $secrets := fromJsonArray (include "creances.secrets" .) -}}
name: creances
image: {{ include "creances.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .command }}
securityContext: {{- include "creances.containerSecurity" .root | nindent 2 }}
envFrom:
  - configMapRef: {name: {{ .root.Release.Name }}-settings}
env:
{{- range $secrets }}
{{- if ne . "kafka_ca" }}
  - name: CREANCES_{{ regexReplaceAll "^database_url_.*$" . "database_url" | upper }}_FILE
    value: /run/secrets/{{ . }}
{{- end }}
{{- end }}
{{- if eq .name "api" }}
  - {name: CREANCES_API_HOST, value: 0.0.0.0}
  - {name: CREANCES_OPS_HOST, value: 0.0.0.0}
  - {name: CREANCES_OPS_PORT, value: "9000"}
{{- end }}
resources: {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: secrets, mountPath: /run/secrets, readOnly: true}
{{- end }}

{{- define "creances.volumes" -}}
{{- $secrets := fromJsonArray (include "creances.secrets" .) -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
- name: secrets
  secret:
    secretName: {{ .root.Values.existingSecret }}
    defaultMode: 0440
    items:
{{- range $secrets }}
      - {key: {{ . }}, path: {{ . }}}
{{- end }}
{{- end }}
