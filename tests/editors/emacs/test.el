;;; test.el --- phi-ls with eglot  -*- lexical-binding: t; -*-

;;; Commentary:

;; The completion at point is what the model says, and puts exactly that into the buffer; a code action is answered.

;;; Code:

(package-initialize)
(require 'eglot)
(require 'json)

(defconst test-file "shapes.py")
(defconst test-lines
  '("import math" "" "" "class Circle:" "    def __init__(self, radius):" "        self.radius = radius" ""
    "    def area(self):" "        return math.pi * self.radius ** 2" "" "    def circumference(self):" "        return "))
(defconst test-text (string-join test-lines "\n"))

(defun phi-ls-test-command-line (&rest arguments)
  "What phi-ls prints for ARGUMENTS, as JSON."
  (with-temp-buffer
    (let ((code (apply #'call-process (getenv "PHI_LS_BIN") nil '(t nil) nil arguments)))
      (unless (eq code 0)
        (error "%S failed: %s" arguments (buffer-string))))
    (goto-char (point-min))
    (json-parse-buffer :object-type 'plist)))

(defun phi-ls-test-equal (what found expected)
  "Fail unless FOUND, which is WHAT, is EXPECTED."
  (unless (equal found expected)
    (error "%s: expected %S, found %S" what expected found))
  (message "ok    %s" what))

(defun phi-ls-test-start ()
  "Open the file with the server for it."
  (setq eglot-sync-connect 60
        eglot-autoshutdown nil
        ;; As long as other tests wait.
        eglot-connect-timeout 60)
  (with-suppressed-warnings ((free-vars jrpc-default-request-timeout))
    (set 'jrpc-default-request-timeout 120))
  (setq eglot-server-programs
        `((python-mode . (,(getenv "PHI_LS_BIN")
                          :initializationOptions
                          (:completion (:model "starter" :confidence "low" :timeBudgetMs 60000)
                           :assistant (:model "starter" :maxTokens 32))))))
  (write-region test-text nil test-file nil 'quiet)
  (find-file test-file)
  (python-mode)
  (call-interactively #'eglot)
  (unless (eglot-current-server)
    (error "eglot runs no server")))

(defun phi-ls-test-completion ()
  "The only completion at point is the model's."
  (goto-char (point-max))
  (let* ((place (format "%s:%d:%d" test-file (length test-lines) (1+ (current-column))))
         (said (plist-get (phi-ls-test-command-line "complete" "--model" "starter" "--json" place) :text))
         (capf (eglot-completion-at-point)))
    (phi-ls-test-equal "there is one candidate" (length (all-completions "" (nth 2 capf))) 1)
    (let ((completion-at-point-functions '(eglot-completion-at-point)))
      (completion-at-point))
    (phi-ls-test-equal "the completion at point is what the model says" (buffer-string) (concat test-text said))))

(defun phi-ls-test-action ()
  "A code action is answered."
  (goto-char (point-min))
  (search-forward "math.pi")
  (let* ((server (eglot-current-server))
         (position (eglot--pos-to-lsp-position))
         (actions (jsonrpc-request server :textDocument/codeAction
                                   (list :textDocument (eglot--TextDocumentIdentifier)
                                         :range (list :start position :end position)
                                         :context '(:diagnostics []))))
         (explain (seq-find (lambda (action) (equal (plist-get action :title) "Explain this method")) actions))
         (command (plist-get explain :command))
         (answer (jsonrpc-request server :workspace/executeCommand
                                  (list :command (plist-get command :command)
                                        :arguments (plist-get command :arguments)))))
    (phi-ls-test-equal "an action is answered" (> (length (plist-get answer :text)) 10) t)))

(condition-case failure
    (progn
      (phi-ls-test-start)
      (phi-ls-test-completion)
      (phi-ls-test-action)
      (set-buffer-modified-p nil)
      (eglot-shutdown (eglot-current-server)))
  (error (message "FAIL  %s" (error-message-string failure))
         (kill-emacs 1)))

;;; test.el ends here
